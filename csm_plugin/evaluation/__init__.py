"""How well a checkpoint speaks: word error, voice, endings, pitch and speed. Runs offline, for `csm eval`.

dialogue     what is spoken under which condition, through the engine
conditions   the dialogues that each part of the evaluation needs
reading      one utterance, judged by recogniser, voice, ending and pitch
parity       transformers' own generate beside ours
speed        one core
table        the figures, and what csm-tiny should reach
picture      the figures, drawn
evaluation   all of it, into a folder
"""
