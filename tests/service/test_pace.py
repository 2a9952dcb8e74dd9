"""The pace: slower where the relay asks for it, never standing still, and back again."""

import pytest

from service.smtp import Accepted, Pace, Refused, RelayAway
from service.smtp.pace import CALM, LONGEST, MOST_AT_ONCE, ON_END, SHORTEST

YES, LATER = Accepted(250, "ok"), Refused(False, 451, "4.7.0 slow down")


def told(pace: Pace, *answers: object) -> Pace:
    for answer in answers:
        pace.heard(answer)  # type: ignore[arg-type] # answers all
    return pace


def test_one_put_off_recipient_is_no_reason_to_slow_down() -> None:
    pace = Pace(8)
    for _ in range(20):
        told(pace, LATER, LATER, YES)
    assert not pace.slowed


@pytest.mark.parametrize("code", [450, 451, 452, 454])
def test_several_on_end_halve_the_connections_and_then_double_the_pause(code: int) -> None:
    pace, seen = Pace(8), []
    for _ in range(6):
        told(pace, *[Refused(False, code, "busy")] * ON_END)
        seen.append((pace.connections, pace.pause))
    assert seen == [(4, 0), (2, 0), (1, 0), (1, SHORTEST), (1, 2 * SHORTEST), (1, 4 * SHORTEST)]
    told(pace, *[LATER] * 60 * ON_END)
    assert pace.pause == LONGEST


def test_421_slows_down_at_once() -> None:
    assert told(Pace(4), Refused(False, 421, "closing")).connections == 2


def test_refusals_for_good_and_lost_connections_do_not() -> None:
    pace = told(Pace(4), *[Refused(True, 550, "no")] * 10, *[RelayAway("gone")] * 10)
    assert not pace.slowed


def test_accepted_mails_bring_it_back_step_by_step() -> None:
    pace = Pace(4)
    told(pace, *[LATER] * 4 * ON_END)
    assert (pace.connections, pace.pause) == (1, 2 * SHORTEST)
    steps = []
    for answers in (1, 1, CALM, CALM, CALM):
        told(pace, *[YES] * answers)
        steps.append((pace.connections, pace.pause))
    assert steps == [(1, SHORTEST), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert not pace.slowed


def test_a_relay_that_takes_fewer_connections_gets_fewer() -> None:
    pace = Pace(8)
    pace.crowded(3)
    assert (pace.connections, pace.pause) == (3, 0)
    pace.crowded(0)
    assert pace.connections == 1


def test_between_two_mails_is_the_pause() -> None:
    pace = told(Pace(1), *[LATER] * ON_END)
    assert pace.may_take()
    assert not pace.may_take()
    assert all(Pace(1).may_take() for _ in range(3))


def test_a_claim_is_so_many_seconds_of_work() -> None:
    pace = Pace(1)
    pace.measured(3000, 1.5)
    assert pace.worth(2) == 4000
    assert pace.worth(0.001) == 50
    pace.measured(1, 1)
    assert pace.worth(2) == 4000, "one mail says nothing about the speed"
    pace.measured(10**9, 1)
    assert pace.worth(2) == MOST_AT_ONCE
