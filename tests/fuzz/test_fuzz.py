"""A taste of what runs for hours: some generated networks, some mutations, seeds of every op."""

import random
from contextlib import suppress

import onnx
import pytest
from differential import FAULTS, FORCED, LEFT_OUT, WITH_OURS, outcomes_of
from graphs import NEWEST, OLDEST, generate
from mutate_models import mutated
from seed_models import SEEDS
from seeds import encoded, models

from sparsepass.errors import SparsepassError
from sparsepass.graph import layers
from sparsepass.model import load
from sparsepass.pipeline.prepare import prepare
from sparsepass.runtime import ops
from sparsepass.shapes import infer


def test_generated_networks_keep_their_outputs():
    made = [outcome for seed in range(12) for outcome in outcomes_of(seed)]

    assert [outcome for outcome in made if outcome.kind in (*FAULTS, LEFT_OUT)] == []
    assert {WITH_OURS, FORCED} <= {outcome.kind for outcome in made}


def test_generated_networks_are_of_every_opset_and_the_same_every_time():
    networks = [generate(seed).model for seed in range(150)]

    assert {m.opset_import[0].version for m in networks} == set(range(OLDEST, NEWEST + 1))
    assert networks[7].SerializeToString() == generate(7).model.SerializeToString()
    for network in networks:
        onnx.checker.check_model(network)


@pytest.mark.parametrize("block", range(4))
def test_a_mutated_network_is_read_or_refused(block):
    for seed in range(50 * block, 50 * block + 50):
        rng = random.Random(seed)
        with suppress(SparsepassError):
            model = load(mutated(rng.choice(SEEDS), rng), max_bytes=1 << 24)
            prepare(model)
            layers(model, infer(model))


def test_there_is_a_seed_for_every_op():
    names = set()
    for _, proto, shapes in models():
        content = encoded(proto, shapes)
        names.add(content[5 : 5 + content[4]].decode())

    assert names == set(ops.op_names())
