"""What csm-plugin must survive, when that holds, and which tests decide it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Args:
        scenario: what happens.
        holds: what must be so then. Times are measured and printed, and decide no test.
        tests: paths of tests, of whole files or of functions; a function's stand for all of its parameters.
    """

    scenario: str
    holds: str
    tests: tuple[str, ...]


ROWS = (
    Row(
        "32 streams at once on 8 rows",
        "each has the codes that it has alone (float32); lag of the event loop p99 < 50 ms",
        (
            "tests/reliability/test_crowds.py::test_thirty_two_at_once_sound_as_if_alone",
            "tests/engine/test_speech.py::test_codes_are_the_same_alone_and_beside_others",
            "tests/engine/test_load.py::test_the_event_loop_is_never_blocked",
            "tests/client/test_remote_engine.py::test_many_conversations_speak_at_once",
        ),
    ),
    Row(
        "200 arrivals on 8 rows and 16 places in the queue",
        "exactly 24 are admitted and finish; 176 are refused in < 100 ms with a Retry-After",
        (
            "tests/reliability/test_crowds.py::test_of_two_hundred_arrivals_twenty_four_are_admitted",
            "tests/engine/test_load.py::test_exactly_rows_and_queue_are_admitted",
            "tests/server/test_admission.py::test_without_room_no_body_is_read",
            "tests/server/test_admission.py::test_half_sent_requests_take_no_room",
            "tests/server/test_admission.py::test_room_is_given_back_however_a_request_ends",
        ),
    ),
    Row(
        "500 disconnects at random frames",
        "the row is free within 2 steps, no step for that stream afterwards; the next first sound ≤ 1.1 × the usual",
        (
            "tests/reliability/test_leaving.py::test_who_leaves_is_forgotten_within_two_steps",
            "tests/server/test_speech.py::test_a_reader_who_leaves_frees_the_row",
            "tests/engine/test_load.py::test_an_interrupted_row_is_free_within_two_steps",
            "tests/engine/test_load.py::test_a_cancelled_utterance_takes_no_further_step_and_delivers_nothing",
        ),
    ),
    Row(
        "a reader of 1 frame a second",
        "at most 2 s of sound wait for it beside what its socket holds, then generation pauses; its neighbours' p95 "
        "gap grows by ≤ 10 %",
        (
            "tests/reliability/test_crowds.py::test_a_reader_of_one_frame_a_second_holds_up_nobody",
            "tests/engine/test_load.py::test_a_slow_reader_pauses_only_itself",
            "tests/server/test_stream.py::test_a_window_bounds_what_is_sent_ahead_and_slows_only_its_own",
            "tests/client/test_remote_engine.py::test_a_slow_reader_pauses_only_itself",
        ),
    ),
    Row(
        "1,000 pairs of start and cancel, queued and doubled ones too",
        "rows, tasks, threads and files are back to where they were; a golden utterance is unchanged",
        (
            "tests/reliability/test_leaving.py::test_starts_and_cancels_leave_nothing_behind",
            "tests/engine/test_load.py::test_a_thousand_starts_and_stops_leave_nothing_behind",
            "tests/pipecat/test_interruptions.py::test_a_thousand_interruptions_leave_nothing_behind",
        ),
    ),
    Row(
        "2,000 messages of nonsense: nested 150,000 deep, bad UTF-8, lone surrogates, NaN, huge numbers",
        "4xx, `failed`, or a close with 1007, 1008 or 1009; no 5xx; it still serves",
        (
            "tests/reliability/test_nonsense.py",
            "tests/server/test_limits.py::test_a_socket_takes_anything_and_closes_with_a_reason_or_goes_on",
            "tests/server/test_limits.py::test_the_published_surface_holds_what_it_promises",
            "tests/server/test_limits.py::test_invalid_utf_8_closes_a_socket_with_1007",
        ),
    ),
    Row(
        "4,096 characters; 4,097; a body of 10 MB; a message of 64 KiB and 1; a header of 1 MB",
        "accepted; 422; 413; 1009; 431; memory grows by ≤ 16 MiB",
        (
            "tests/server/test_limits.py::test_a_body_of_any_kind_is_answered_in_kind",
            "tests/server/test_limits.py::test_a_body_of_unknown_length_is_cut_off_at_the_limit",
            "tests/server/test_stream.py::test_a_message_that_is_too_long_closes_the_socket_with_1009",
            "tests/server/test_limits.py::test_a_megabyte_of_headers_is_431",
            "tests/server/test_stream_bounds.py",
        ),
    ),
    Row(
        "a WAV that claims 4 GiB, 0 Hz, 64 channels, a truncated FLAC, hours of silence in a small file",
        "uploads ≤ 10 MiB; 30 s of sound, held while it is decoded; ≤ 2 s and ≤ 64 MiB spent",
        (
            "tests/server/test_voices.py::test_a_file_that_cannot_be_used_costs_little_and_says_why",
            "tests/server/test_voices.py::test_a_truncated_file_is_read_as_far_as_it_goes_or_refused",
            "tests/server/test_limits.py::test_a_form_field_is_no_way_around_the_limit",
        ),
    ),
    Row(
        "NaN in one row of a batch",
        "that stream alone gets a typed error, after good sound only; the others are as alone",
        (
            "tests/reliability/test_failures.py::test_numbers_that_are_none_end_their_own_stream_only",
            "tests/engine/test_load.py::test_a_row_whose_numbers_fail_gets_a_typed_error_and_the_others_go_on",
        ),
    ),
    Row(
        "out of memory at a prefill and at a step",
        "a typed error; memory back within 5 %; the third in 60 s makes it not ready",
        (
            "tests/reliability/test_failures.py::test_memory_that_runs_out_comes_back",
            "tests/server/test_keeper.py::test_the_third_want_of_memory_makes_it_not_ready",
        ),
    ),
    Row(
        "the engine's thread raises after 10 steps, or hangs",
        "streams end within 1 s, of a hang 1 s after it is noticed; /ready 503, /live 200; loaded again within load "
        "time + 5 s; a fourth failure in 5 min ends the process with an error",
        (
            "tests/server/test_keeper.py::test_a_crash_ends_every_stream_and_the_engine_is_loaded_again",
            "tests/server/test_keeper.py::test_a_hang_is_noticed_and_ends_every_stream",
            "tests/server/test_keeper.py::test_a_fourth_death_ends_the_process_with_an_error",
            "tests/client/test_resuming.py::test_an_engine_that_dies_is_loaded_again_and_the_conversation_goes_on",
        ),
    ),
    Row(
        "SIGTERM with 8 live streams",
        "not ready within 100 ms; live ones finish within the time for it, the rest close with 1001; exit 0; a second "
        "signal ends it within 1 s",
        (
            "tests/server/test_draining.py::test_what_is_being_said_is_finished_and_nothing_new_is_begun",
            "tests/server/test_draining.py::test_what_takes_too_long_is_cut_off",
            "tests/server/test_draining.py::test_a_second_signal_ends_it_at_once",
        ),
    ),
    Row(
        "500 and 5,000 utterances, 20 % of them cancelled, 5 % failing",
        "of two equal blocks after a warm-up the second grows by ≤ 10 MiB, of the longer ones by ≤ 5 MiB",
        ("tests/reliability/test_soak.py",),
    ),
    Row(
        "voices named `../x`, `%2F`, an absolute path, NUL, a link, 300 characters",
        "refused by pattern, then by containment; nothing outside the folder is opened",
        (
            "tests/reliability/test_intruders.py::test_names_that_lead_out_of_the_folder_open_nothing",
            "tests/server/test_voices.py::test_a_name_that_is_none_is_refused",
            "tests/server/test_voices.py::test_a_link_out_of_the_folder_is_no_voice",
            "tests/server/test_voices.py::test_a_link_is_no_voice_of_the_engine_either",
        ),
    ),
    Row(
        "every route without a key",
        "only /live, /ready and the page's own files answer; 401 before a body is read or a socket accepted; compared "
        "in constant time; no key in a query",
        (
            "tests/server/test_gate.py::test_without_a_key_only_health_is_told",
            "tests/server/test_gate.py::test_the_routes_that_were_tried_are_all",
            "tests/server/test_gate.py::test_keys_are_compared_in_constant_time",
            "tests/server/test_gate.py::test_a_key_in_the_address_is_no_key",
            "tests/server/test_gate.py::test_a_body_is_not_read_without_a_key",
            "tests/server/test_gate.py::test_a_socket_opens_with_a_key_in_its_header_or_protocol",
            "tests/server/test_page.py::test_the_page_and_its_parts_need_no_key_and_name_nobody_else",
        ),
    ),
    Row(
        "a foreign page; no first message in 5 s; a dead peer; 120 s of nothing",
        "403; closed in time; dead ones found within 40 s (tried with shorter times)",
        (
            "tests/server/test_gate.py::test_a_foreign_page_opens_no_socket",
            "tests/server/test_limits.py::test_a_socket_that_says_nothing_is_closed_in_time",
            "tests/server/test_limits.py::test_a_connection_that_sends_half_a_head_is_closed_in_time",
            "tests/server/test_limits.py::test_a_connection_that_sends_half_a_second_head_is_closed_in_time",
            "tests/server/test_limits.py::test_a_body_that_does_not_go_on_is_408",
            "tests/server/test_limits.py::test_a_dead_peer_is_found",
            "tests/server/test_limits.py::test_an_idle_socket_is_closed_and_a_speaking_one_is_not",
        ),
    ),
    Row(
        "a voice given as http:, file:, hf:, data: URL, `169.254.169.254`, `[::1]`, a decimal address",
        "422, and nobody is asked",
        ("tests/reliability/test_intruders.py::test_addresses_are_no_voices_and_nobody_is_asked",),
    ),
    Row(
        "pickled code as .pt, .bin, as .safetensors, as a recording; a corrupt file of weights",
        "never executed; the source has no pickle, torch.load or eval",
        (
            "tests/reliability/test_intruders.py::test_a_pickle_is_no_recording",
            "tests/model/test_checkpoints.py::test_pickled_weights_are_refused_and_never_opened",
            "tests/model/test_checkpoints.py::test_a_pickle_named_as_safetensors_is_refused_and_never_executed",
            "tests/model/test_checkpoints.py::test_a_truncated_file_is_refused",
            "tests/test_layers.py::test_nothing_is_unpickled_or_evaluated",
        ),
    ),
    Row(
        "a canary key, sentence and recording, used rightly and wrongly, at DEBUG",
        "not in logs, metrics or errors",
        (
            "tests/reliability/test_secrets.py",
            "tests/engine/test_load.py::test_an_errors_log_tells_where_and_never_what_was_said",
        ),
    ),
    Row(
        "telephone webhooks signed well, altered, unsigned, for another address or host",
        "403 before a socket is accepted; checked for the public address that is set",
        (
            "tests/agents/test_telephony_signatures.py",
            "tests/agents/test_telephony_webhook.py::test_an_unsigned_or_wrongly_signed_webhook_is_refused",
            "tests/agents/test_telephony_webhook.py::test_only_a_signature_of_the_public_address_counts",
            "tests/agents/test_telephony_webhook.py::test_a_socket_without_its_token_is_refused_before_it_is_accepted",
        ),
    ),
    Row(
        "plugins: the server killed in mid-stream, standing still, gone; another attempt after part of the sound",
        "a typed error within the timeout + 1 s; the exact number of attempts; no task left",
        (
            "tests/livekit_plugin/test_remote.py::test_a_server_that_dies_midway_is_told_in_time_and_nothing_is_spoken_twice",
            "tests/livekit_plugin/test_remote.py::test_a_server_that_stands_still_is_a_timeout_and_four_attempts",
            "tests/livekit_plugin/test_remote.py::test_no_server_is_told_in_time",
            "tests/client/test_resuming.py",
            "tests/pipecat/test_faults.py",
        ),
    ),
)
