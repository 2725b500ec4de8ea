"""Preparations of payments' operations: members of their own, so that holds do not meet each other."""

from __future__ import annotations

from chassis.ids import new_id

from tests.gateway.replay.calls import Call, before, makes
from tests.gateway.replay.world import World
from tests.support.eventually import eventually

HOLDS = "/v1/members/{member_id}/holds"
KNEE = {"kind": "medical", "reason": "a knee operation"}


async def a_new_member(world: World) -> str:
    member = f"isla-{new_id()}"
    await world.ask("PUT", f"/v1/members/{member}", json={"name": "Isla Morgan"})
    return member


@makes("hold_id")
async def a_hold(world: World, call: Call) -> None:
    hold = await world.ask("POST", f"/v1/members/{await a_new_member(world)}/holds", json=KNEE)
    call.names["hold_id"] = hold["id"]
    call.expects(hold["version"])


@before(f"POST {HOLDS}")
async def of_a_member_without_holds(world: World, call: Call) -> None:
    call.names["member_id"] = await a_new_member(world)


@before(f"POST {HOLDS}", problem="conflict")
async def of_a_member_on_hold(world: World, call: Call) -> None:
    await of_a_member_without_holds(world, call)
    await world.ask("POST", f"/v1/members/{call.names['member_id']}/holds", json=call.json)


@before("POST /v1/holds/{hold_id}/end", problem="conflict")
async def ended_already(world: World, call: Call) -> None:
    headers = {"If-Match": call.headers["If-Match"]}
    path = f"/v1/holds/{call.names['hold_id']}/end"
    after = await world.ask("POST", path, json={"reason": "trains again"}, headers=headers)
    call.expects(after["version"])


@before("PUT /v1/members/{member_id}", problem="conflict")
async def with_somebody_elses_customer(world: World, call: Call) -> None:
    await world.ask("PUT", "/v1/members/mark-stevens", json=call.json)
    call.names["member_id"] = await a_new_member(world)


SLOWLY = {"filter": {"provider": "stripe"}, "purpose": "look again", "max_per_second": 1}
PUT_OFF = """
    UPDATE payments.replays SET due_at = now() + interval '1 day'
    WHERE id = $1 AND (leased_until IS NULL OR leased_until < now())
"""


@makes("replay_id")
async def a_replay(world: World, call: Call) -> None:
    """One that goes on some other day: what is shown of it stays so while it is called."""
    replay = (await world.ask("POST", "/v1/replays", json=SLOWLY))["id"]

    async def put_off() -> bool:
        return await world.execute(PUT_OFF, replay) == "UPDATE 1"

    await eventually(put_off)
    call.names["replay_id"] = replay
    call.expects((await world.ask("GET", f"/v1/replays/{replay}"))["version"])


@before("POST /v1/replays/{replay_id}/cancel", problem="conflict")
async def cancelled_already(world: World, call: Call) -> None:
    path = f"/v1/replays/{call.names['replay_id']}/cancel"
    after = await world.ask("POST", path, headers={"If-Match": call.headers["If-Match"]})
    call.expects(after["version"])


A_PAYOUT = """
    WITH made AS (
        INSERT INTO payments.payouts (id, key, provider, reference, state, automatic, amount_minor, currency,
            created_at, arrives_on, listed_minor, difference_minor, fee_minor, gst_minor, version)
        VALUES ($1::uuid, 'stripe/self/payout/' || ($1::uuid)::text, 'stripe', 'po_' || ($1::uuid)::text, 'paid',
            true, 10783, 'AUD', now(), current_date, 10783.0, 0, 217, 20, 1)
        RETURNING id
    )
    INSERT INTO payments.payout_items (payout_id, line, type, amount_minor, gst_minor, source)
    SELECT id, 1, 'charge', 10783.0, 19.7, 'ch_replayed' FROM made
"""


@makes("payout_id")
async def a_payout(world: World, call: Call) -> None:
    call.names["payout_id"] = new_id()
    await world.execute(A_PAYOUT, call.names["payout_id"])
