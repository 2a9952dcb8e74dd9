"""The sweep of a real installation folds what ended long ago, and nothing else."""

from tests.stack import Stack
from tests.workers.mailing import Mailing

A_YEAR_AGO = "2020-03-02 09:00:00"


def test_the_sweep_folds_an_old_mailing_and_leaves_a_new_one(stack: Stack) -> None:
    mailing = Mailing(stack, followers=7)
    stack.start()
    mailing.publish()
    mailing.finish()
    before = mailing.bath.books(mailing.dispatch)
    newer = mailing.bath.publish("vinterbadet")["dispatch"]
    stack.wait(lambda: mailing.bath.books(newer)["state"] == "finished", what="the second one is through")
    ended = {"id": mailing.dispatch, "then": A_YEAR_AGO}
    stack.write("UPDATE claims SET lease_until = :then WHERE dispatch_id = :id", **ended)
    stack.write("UPDATE dispatches SET finished_at = :then WHERE id = :id", **ended)
    stack.wait(lambda: not mailing.counts(), what="its rows are gone")
    claims = "SELECT count(*) FROM claims WHERE dispatch_id = :id"
    stack.wait(lambda: stack.value(claims, id=mailing.dispatch) == 0, what="its claims are gone")
    after = mailing.bath.books(mailing.dispatch)
    assert {name: value for name, value in after.items() if name != "finished_at"} == {
        name: value for name, value in before.items() if name != "finished_at"
    }
    assert after["accepted"] == 7
    said = stack.cli("dispatch", "show", str(mailing.dispatch)).stdout
    assert "Only the numbers are kept since" in said
    assert "365 days after" in said
    assert "Only the numbers" not in stack.cli("dispatch", "show", str(newer)).stdout
    assert stack.value("SELECT count(*) FROM deliveries WHERE dispatch_id = :id", id=newer) == 7
