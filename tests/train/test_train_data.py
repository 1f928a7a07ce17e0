"""What a cell trains on, and bad input: one error that names file and row."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from clipdiff.errors import DataError
from clipdiff.files import read_tensors, write_tensors
from clipdiff.settings import Train
from clipdiff.towers.load import load_clip
from clipdiff.train.identity import fingerprint
from clipdiff.train.training_data import read_training_data


@pytest.fixture(scope="module")
def clip(bench):
    return load_clip(bench.clip)


@pytest.fixture
def read(bench, clip, tmp_path):
    """Read changed differences, or changed embeddings."""

    def call(table: pd.DataFrame | None = None, embeds=None, **part):
        differences = tmp_path / "differences.parquet"
        (bench.differences if table is None else table).to_parquet(differences)
        files = bench.files.captions, embeds or bench.files.image_embeds, differences
        return read_training_data(clip, Train(lr=1, **part), *files)

    return call


def test_pairs_texts_and_embeddings_belong_together(bench, clip, read):
    table = bench.differences.assign(kept=[row % 3 > 0 for row in range(len(bench.differences))])
    data = read(table)
    kept = table[table["kept"]]
    assert data.image_ids[data.pair_index].tolist() == kept.iloc[:, 1:3].to_numpy().tolist()
    held = read_tensors(bench.files.image_embeds)
    for image_id, row in zip(data.image_ids, data.image_embeds, strict=True):
        assert torch.equal(row, held["image_embeds"][held["image_ids"] == image_id][0])
    whole = clip.tokenize(kept["difference"].tolist())
    assert torch.equal(data.tokens, whole[:, : data.tokens.shape[1]])
    assert not whole[:, data.tokens.shape[1] :].any()
    assert data.lengths.tolist() == (whole > 0).sum(1).tolist()


def test_equal_texts_share_an_id(bench, read):
    texts = ["a red fox", "two owls"] * (len(bench.differences) // 2)
    ids = read(bench.differences.assign(difference=texts)).text_ids
    assert ids[0] == ids[2] != ids[1] == ids[3]


def test_captions_are_compared_with_nothing(bench, read):
    seconds = bench.differences["image_id_2"].astype("Int64")
    seconds[::2] = pd.NA
    data = read(bench.differences.assign(image_id_2=seconds))
    differences = (
        data.image_embeds[data.pair_index[:, 0]] - data.image_embeds[data.pair_index[:, 1]]
    )
    held = read_tensors(bench.files.image_embeds)
    places = pd.Index(held["image_ids"].numpy())
    first = held["image_embeds"][places.get_indexer(bench.differences["image_id_1"])]
    second = held["image_embeds"][places.get_indexer(bench.differences["image_id_2"])]
    second[::2] = 0
    assert torch.equal(differences, first - second)
    assert len(data.image_embeds) == len(data.image_ids) + 1


def trained_pairs(data) -> list[tuple[int, ...]]:
    """The pairs by image_id; the one image of a caption alone."""
    ids = [*data.image_ids, None]
    return [tuple(ids[i] for i in pair if ids[i] is not None) for pair in data.pair_index]


@pytest.mark.parametrize("axis", ["pairs", "images"])
def test_smaller_parts_lie_within_larger_ones(read, axis):
    whole, sizes = trained_pairs(read()), {"pairs": (1, 10, 25, 40), "images": (4, 8, 11, 12)}
    parts = [trained_pairs(read(**{axis: size})) for size in sizes[axis]]
    for small, large in itertools.pairwise(parts):
        larger = iter(large)
        assert all(pair in larger for pair in small), "each there, in the same order"
        assert len(small) < len(large)
    assert parts[-1] == whole
    if axis == "pairs":
        assert [len(part) for part in parts] == [1, 10, 25, 40]
        assert parts[1] != whole[:10]
    else:
        shown = [len({i for pair in part for i in pair}) for part in parts]
        assert all(found <= size for found, size in zip(shown, sizes[axis], strict=True))


def test_dropped_texts_move_no_others(bench, read):
    first = set(trained_pairs(read(pairs=20)))
    dropped = read(bench.differences.assign(kept=[row % 5 > 0 for row in range(40)]), pairs=20)
    assert len(dropped.pair_index) == 20
    kept = {
        tuple(pair)
        for pair in bench.differences.iloc[[row for row in range(40) if row % 5]].to_numpy()[:, 1:3]
    }
    assert first & kept <= set(trained_pairs(dropped))


def texts_of_one(bench) -> pd.DataFrame:
    """Differences of the row ``captions``: a text for every image."""
    ids = bench.captions["image_id"]
    nothing = pd.array([None] * len(ids), dtype="Int64")
    table = pd.DataFrame({"pair_id": ids, "image_id_1": ids, "image_id_2": nothing})
    return table.assign(difference="a fox", kept=True)


def test_images_are_the_same_for_captions(bench, read):
    captions = {i for (i,) in trained_pairs(read(texts_of_one(bench), images=6))}
    assert len(captions) == 6
    assert {i for pair in trained_pairs(read(images=6)) for i in pair} <= captions
    assert len(trained_pairs(read(texts_of_one(bench), images=6, pairs=4))) == 4


def test_a_part_without_a_pair_is_an_error(bench, read):
    shown = {i for (i,) in trained_pairs(read(texts_of_one(bench), images=2))}
    pairs = bench.differences[["image_id_1", "image_id_2"]].to_numpy()
    apart = bench.differences[[set(pair) != shown for pair in pairs]]
    with pytest.raises(DataError, match="about two of the first 2 of 12 training images"):
        read(apart, images=2)


def test_pairs_of_equal_embeddings_are_dropped(bench, read, tmp_path, caplog):
    held = read_tensors(bench.files.image_embeds)
    first, second = bench.differences.loc[0, ["image_id_1", "image_id_2"]]
    rows = {int(image_id): row for row, image_id in enumerate(held["image_ids"])}
    held["image_embeds"][rows[first]] = held["image_embeds"][rows[second]]
    write_tensors(tmp_path / "embeds.safetensors", held)
    with caplog.at_level("INFO"):
        data = read(embeds=tmp_path / "embeds.safetensors")
    same = {first, second}
    pairs = bench.differences[["image_id_1", "image_id_2"]].to_numpy()
    expected = sum(set(pair) == same for pair in pairs)
    assert len(data.pair_index) == len(pairs) - expected < len(pairs)
    assert f"{expected} pairs of equal embeddings dropped" in caplog.text


def changed(table: pd.DataFrame, column: str, row: int, value) -> pd.DataFrame:
    table = table.copy()
    table.loc[row, column] = value
    return table


def test_bad_rows_are_named(bench, read):
    table = bench.differences
    itself = table.loc[4, "image_id_1"]
    for wrong, message in (
        (table.assign(kept=False), r"differences.parquet: none of its 40 rows is kept"),
        (
            changed(table, "difference", 6, "  "),
            r"parquet, row 6: a kept text is empty",
        ),
        (changed(table, "image_id_2", 4, itself), r"row 4: a pair of an image and itself"),
        (changed(table, "image_id_2", 9, 999), r"row 9: image_id 999 has no embedding in"),
        (table.drop(columns="kept"), r"lacks the columns \['kept'\]"),
    ):
        with pytest.raises(DataError, match=message):
            read(wrong)
    dropped = changed(changed(table, "difference", 6, ""), "kept", 6, False)
    assert len(read(dropped).pair_index) == len(table) - 1


def test_broken_files_are_named(bench, read, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(bench.files.image_embeds.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"broken\.safetensors: not a whole safetensors file"):
        read(embeds=broken)
    write_tensors(broken, {"weights": torch.ones(2)})
    with pytest.raises(DataError, match=r"holds \['weights'\], expected image_embeds"):
        read(embeds=broken)
    with pytest.raises(DataError, match="no such file"):
        read(embeds=tmp_path / "absent.safetensors")


def test_fingerprint_follows_contents(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"one")
    second.write_bytes(np.arange(3).tobytes())
    before = fingerprint([first, second])
    assert fingerprint([first, second]) == before
    assert fingerprint([second, first]) != before
    first.write_bytes(b"two")
    assert fingerprint([first, second]) != before
