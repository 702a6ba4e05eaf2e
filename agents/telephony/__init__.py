"""Talk with CSM over the telephone: `python -m agents.telephony`, behind Twilio, Telnyx or Plivo.

A provider asks the webhook what to do with a call, is told to open a media socket, and sends and plays 8 kHz µ-law
there. Signatures are checked, a socket is only accepted for a call that a webhook announced, and all calls share one
engine.
"""
