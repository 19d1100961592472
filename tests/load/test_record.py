"""What a run measured, and how it says that the client itself was the limit."""

import json

import pytest

from neuralmesh_server.load.answers import Answers, WrongAnswer
from neuralmesh_server.load.record import LATE_SECONDS, Outcome, Record, latencies


def test_a_stalled_request_shows_in_the_corrected_latency_only():
    """Of ten requests one stalls for a second and the rest wait behind it: their waiting counts, their service does not."""
    record = Record()
    for place in range(10):
        record.sending(0.0 if place == 0 else 1.0)
        record.answer(1.0, 1.0) if place == 0 else record.answer(1.0 + 0.001, 0.001)
    assert record.corrected.quantile(0.5) == pytest.approx(1.001, rel=0.003)
    assert record.raw.quantile(0.5) == pytest.approx(0.001, rel=0.003)


def test_quantiles_are_within_their_bound():
    """Latencies are exact to 0.27 %, least and greatest exactly."""
    record = Record()
    for millisecond in range(1, 1001):
        record.sending(0.0)
        record.answer(millisecond / 1e3, millisecond / 1e3)
    found = latencies(record.corrected)
    assert found["p50"] == pytest.approx(0.5, rel=0.0028)
    assert found["p99"] == pytest.approx(0.99, rel=0.0028)
    assert (found["min"], found["max"]) == (0.001, 1.0)


def test_a_punctual_idle_client_is_no_limit():
    """Nothing is said when nothing is to be said."""
    record = Record()
    for _ in range(1000):
        record.sending(LATE_SECONDS / 2)
    record.busy = 0.5
    assert record.limits() == []


def test_late_sends_and_a_busy_thread_are_said():
    """More than one request in a hundred sent late, or a process that never rests, make the latencies the client's own."""
    record = Record()
    for place in range(1000):
        record.sending(LATE_SECONDS * 2 if place < 20 else 0.0)
    record.busy = 0.97
    late, busy = record.limits()
    assert late == "2.0% of the requests were sent more than 5 ms late"
    assert busy == "it used 97% of a processor, and cannot use much more"


def test_an_outcome_is_good_only_without_failure_error_or_doubt():
    """One failed, one wrong or one unjudged answer is enough."""

    def outcome(*, failed=0, wrong=0, unjudged=0) -> Outcome:
        record, answers = Record(), Answers()
        for _ in range(failed):
            record.sending(0.0)
            record.failure("UNAVAILABLE", "NOT_SERVING", "draining")
        answers.wrong = wrong
        if unjudged:
            answers._waiting["9", 0, ()] = [unjudged, b""]
        return Outcome(record, answers)

    assert outcome().good
    assert not outcome(failed=1).good
    assert not outcome(wrong=1).good
    assert not outcome(unjudged=1).good


def test_an_outcome_is_a_json_document():
    """Everything is there, in seconds, and numbers add up."""
    record, answers = Record(), Answers()
    for place in range(4):
        record.sending(0.0)
        if place:
            record.answer(0.002, 0.001)
        else:
            record.failure("UNAVAILABLE", "NOT_SERVING", "draining")
    record.seconds = 2.0
    answers.versions["7"] = 3
    answers.right, answers.wrong = 2, 1
    answers.examples.append(WrongAnswer(5, "7", "o differs"))
    found = json.loads(json.dumps(Outcome(record, answers).as_json()))
    assert (found["sent"], found["answered"], found["failed"]) == (4, 3, 1)
    assert found["answers_per_second"] == 1.5
    assert found["latency"]["p50"] == pytest.approx(0.002)
    assert found["latency_uncorrected"]["max"] == pytest.approx(0.001)
    assert found["failures"] == [{"code": "UNAVAILABLE", "reason": "NOT_SERVING", "count": 1, "message": "draining"}]
    assert found["versions"] == {"7": 3}
    assert found["wrong_examples"] == [{"request": 5, "version": "7", "why": "o differs"}]
