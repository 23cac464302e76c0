"""A file that means harm, lies or is broken is refused in one sentence, and takes no memory."""

import dataclasses
import json
import random
import stat
import struct
import tracemalloc
import zipfile

import pytest
import torch

from attnkit.attention.where import Where
from attnkit.capture.captured import Capture, Edges
from attnkit.capture.file import load, save
from attnkit.capture.file_archive import MANIFEST, member
from tests.capture.made import SPECS, capture_of, layer_of, rich, same, seen_of


@pytest.fixture
def good(tmp_path):
    return save(capture_of(layers=1), tmp_path / "good.attn")


def remade(good, path, change=None, manifest=None):
    """The file again, with members and manifest changed."""
    with zipfile.ZipFile(good) as old:
        members = {name: old.read(name) for name in old.namelist()}
    if manifest is not None:
        plain = json.loads(members[MANIFEST])
        manifest(plain)
        members[MANIFEST] = json.dumps(plain).encode()
    if change is not None:
        change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(plain):
        for step in path:
            plain = plain[step]
        plain[last] = value

    return change


def first_array(coding):
    """Change the first array of that coding."""

    def of(change):
        return lambda plain: change(next(one for one in plain["arrays"] if one["coding"].startswith(coding)))

    return of


LAYER = ("layers", 0)
BAD_MANIFESTS = {
    "version": (put("version", 2), "version 2"),
    "format": (put("format", "other"), "does not say"),
    "unknown field": (put("surprise", 1), "surprise"),
    "unknown field of a layer": (put(*LAYER, "code", "x"), "code"),
    "huge shape": (first_array("float")(put("shape", [2**40, 2**40])), "larger than any"),
    "large shape": (first_array("float")(put("shape", [2, 4, 10**9])), "bytes, and its shape"),
    "negative dimension": (first_array("float")(put("shape", [-1, 4, 12])), "whole numbers from 0"),
    "a dimension that is no number": (first_array("float")(put("shape", [2, 4, "12"])), "whole numbers from 0"),
    "a type that is none": (first_array("float")(put("dtype", "object")), "no number type"),
    "a coding that is none": (first_array("float")(put("coding", "pickle")), "no coding"),
    "an integer for a float": (first_array("float")(put("dtype", "int64")), "do not stand in"),
    "another shape": (put(*LAYER, "heads", 3), "shape"),
    "an array that is not there": (put(*LAYER, "rows", 10**6), "no array"),
    "an array by a negative number": (put(*LAYER, "rows", -1), "no array"),
    "a negative size": (put(*LAYER, "T", -5), "whole number"),
    "a size that is true": (put(*LAYER, "batch", True), "whole number"),
    "a kind that is none": (put(*LAYER, "kind", "other"), "kind"),
    "blocks of nothing": (put(*LAYER, "pooled", "query_tokens", 0), "hold tokens"),
    "tokens that are no words": (put("streams", "text", 0, 3, 7), "no words"),
    "a stream that is no list": (put("streams", "text", "word"), "list"),
    "a grid of zero": (put("images", {"text": [0, 4]}), "grid"),
    "notes that are no words": (put("notes", [1]), "words"),
    "roles that are no tables": (put(*LAYER, "roles", [[1]]), "role"),
    "layers that are a table": (put("layers", {}), "layers"),
    "a layer that is a word": (put("layers", ["x"]), "a layer"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_manifest_that_lies_is_refused_in_one_sentence(good, tmp_path, name) -> None:
    change, said = BAD_MANIFESTS[name]
    path = remade(good, tmp_path / "bad.attn", manifest=change)
    with pytest.raises(ValueError, match=said) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def rename(old, new):
    return lambda members: members.update({new: members.pop(old)})


BAD_MEMBERS = {
    "path that climbs": (rename(member(0), "../../evil.bin"), "evil"),
    "absolute path": (rename(member(0), "/etc/passwd"), "passwd"),
    "unknown member": (put("readme.txt", b"hello"), "readme"),
    "missing array": (lambda members: members.pop(member(2)), "members are not those"),
    "no manifest": (lambda members: members.pop(MANIFEST), "members"),
    "array cut off": (lambda members: members.update({member(0): members[member(0)][:-1]}), "bytes"),
    "array too long": (lambda members: members.update({member(0): members[member(0)] + b"x"}), "bytes"),
    "no JSON": (put(MANIFEST, b"{"), "no JSON"),
    "no text": (put(MANIFEST, b"\xff\xfe{"), "no JSON"),
    "a deep nest": (put(MANIFEST, b"[" * 100_000 + b"]" * 100_000), "too deep"),
    "a number that is none": (put(MANIFEST, b'{"format": NaN}'), "NaN"),
    "an endless number": (put(MANIFEST, b'{"format": ' + b"9" * 5000 + b"}"), "no JSON"),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_members_that_do_not_belong_are_refused(good, tmp_path, name) -> None:
    change, said = BAD_MEMBERS[name]
    with pytest.raises(ValueError, match=said):
        load(remade(good, tmp_path / "bad.attn", change))
    assert {path.name for path in tmp_path.iterdir()} == {"good.attn", "bad.attn"}


def test_values_nested_too_deep_are_neither_written_nor_read(good, tmp_path) -> None:
    deep: list = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError, match="more than 32 deep"):
        save(Capture(explanations=[{"deep": deep}]), tmp_path / "a.attn")
    with pytest.raises(ValueError, match="more than 32 deep"):
        load(remade(good, tmp_path / "bad.attn", manifest=put("explanations", [{"deep": deep}])))


def test_levels_without_a_finite_range_are_refused(tmp_path) -> None:
    capture = capture_of(T=128, S=128, layers=1)
    good = save(capture, tmp_path / "good.attn", 40_000)
    with zipfile.ZipFile(good) as file:
        lines = json.loads(file.read(MANIFEST))["arrays"]
    at = member(next(i for i, one in enumerate(lines) if one["coding"].startswith("levels")))
    for wrong in (struct.pack("<f", float("nan")), struct.pack("<f", float("inf")), struct.pack("<f", 3e38)):
        bad = remade(good, tmp_path / "bad.attn", lambda m, wrong=wrong: m.update({at: wrong + m[at][4:]}))
        with pytest.raises(ValueError, match="range of a head"):
            load(bad)


def test_indices_out_of_range_are_refused(tmp_path) -> None:
    layer = layer_of(torch.rand(2, 4, 12, 12))
    key = layer.edges.key_BHTN.clone()
    key[0, 0, 0, 0] = 12
    with pytest.raises(ValueError, match=r"key of an edge must be from -1 to 11"):
        save(Capture([dataclasses.replace(layer, edges=Edges(layer.edges.weight_BHTN, key))]), tmp_path / "a.attn")
    good = save(Capture([layer]), tmp_path / "good.attn")
    with zipfile.ZipFile(good) as file:
        at = member(json.loads(file.read(MANIFEST))["layers"][0]["edges"]["offset"])
    bad = remade(good, tmp_path / "bad.attn", lambda m: m.update({at: b"\x7f" * len(m[at])}))
    with pytest.raises(ValueError, match="key of an edge"):
        load(bad)


def test_positions_of_another_length_are_refused(tmp_path) -> None:
    made = seen_of(SPECS["causal"], torch.Generator().manual_seed(0))
    wrong = dataclasses.replace(made, where=Where.of(12, 11))
    with pytest.raises(ValueError, match="key_position has the shape"):
        save(Capture([layer_of(made.matrix(), seen=wrong)]), tmp_path / "a.attn")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100, b"PK\x05\x06" + b"\x00" * 18])
def test_what_is_no_zip_is_refused(tmp_path, content) -> None:
    path = tmp_path / "a.attn"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"no zip|none of a capture"):
        load(path)


def test_a_file_that_is_cut_off_is_refused(good) -> None:
    whole = good.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 30):
        good.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off"):
            load(good)


def test_links_encrypted_and_double_members_are_refused(good, tmp_path) -> None:
    whole = good.read_bytes()
    encrypted = bytearray(whole)
    at = whole.index(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    link = bytearray(whole)
    link[at + 38 : at + 42] = struct.pack("<L", (stat.S_IFLNK | 0o777) << 16)
    double = whole.replace(member(1).encode(), member(0).encode())
    packed = bytearray(whole)
    packed[at + 10] = 14
    for content, said in ((encrypted, "is encrypted; save"), (link, "link"), (double, "twice"), (packed, "packed")):
        path = tmp_path / "bad.attn"
        path.write_bytes(bytes(content))
        with pytest.raises(ValueError, match=said):
            load(path)


def peak_of(path) -> int:
    tracemalloc.start()
    try:
        load(path)
    except ValueError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


MEGABYTE = 2**20
BOMBS = {
    "an array of zeros": (member(0), lambda: b"\0" * (150 * MEGABYTE)),
    "a manifest of zeros": (MANIFEST, lambda: b"\0" * (150 * MEGABYTE)),
    "a manifest of lists": (MANIFEST, lambda: b"[" + b"[]," * (8 * MEGABYTE) + b"[]]"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_memory(good, tmp_path, name) -> None:
    at, content = BOMBS[name]
    path = remade(good, tmp_path / "bomb.attn", lambda members: members.update({at: content()}))
    assert path.stat().st_size < MEGABYTE
    assert peak_of(path) < 70 * MEGABYTE
    with pytest.raises(ValueError, match=r"than its size allows"):
        load(path)


def test_a_member_that_understates_itself_is_read_no_further(good, tmp_path) -> None:
    path = remade(good, tmp_path / "bomb.attn", lambda members: members.update({member(0): b"\0" * (150 * MEGABYTE)}))
    whole = bytearray(path.read_bytes())
    said = struct.pack("<L", 150 * MEGABYTE)
    with zipfile.ZipFile(good) as file:
        small = struct.pack("<L", file.getinfo(member(0)).file_size)
    assert whole.count(said) == 2
    path.write_bytes(bytes(whole).replace(said, small))
    assert peak_of(path) < 70 * MEGABYTE
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_one_array_named_many_times_takes_no_memory(good, tmp_path) -> None:
    def many(plain):
        line = {"coding": "int8", "shape": [4 * MEGABYTE], "dtype": "int64"}
        plain["arrays"].append(line)
        plain["explanations"] = [{"all": [{"$array": len(plain["arrays"]) - 1}] * 1000}]

    def grown(members):
        members[member(len(members) - 1)] = b"\0" * (4 * MEGABYTE)

    path = remade(good, tmp_path / "bomb.attn", grown, many)
    assert peak_of(path) < 100 * MEGABYTE
    with pytest.raises(ValueError, match="more than its size allows"):
        load(path)


def test_a_capture_of_zeros_is_no_bomb(tmp_path) -> None:
    layer = layer_of(torch.full((1, 1, 4, 4), 0.25))
    wide = {name: torch.zeros(1, 1, 500_000) for name in layer.statistics}
    empty = dataclasses.replace(
        layer, T=500_000, S=500_000, statistics=wide, query_keep=None, key_keep=None, pooled=None, edges=None
    )
    capture = Capture([empty])
    assert same(capture, load(save(capture, tmp_path / "a.attn")))


def test_damage_of_any_kind_is_a_value_error_or_nothing_at_all(tmp_path) -> None:
    capture = rich()
    capture.layers = [capture.layers[0], capture.layers[3]]
    good = save(capture, tmp_path / "good.attn")
    want, whole, dice = load(good), good.read_bytes(), random.Random(11)
    with zipfile.ZipFile(good) as file:
        manifest = json.loads(file.read(MANIFEST))
    path = tmp_path / "bad.attn"
    refused = 0
    for round_ in range(300):
        if round_ % 2:
            damaged = bytearray(whole)
            tail = len(whole) - 2000 if round_ % 4 == 1 else 0
            for _ in range(dice.choice([1, 1, 3])):
                damaged[dice.randrange(tail, len(whole))] = dice.randrange(256)
            path.write_bytes(bytes(damaged))
        else:
            remade(good, path, manifest=lambda plain: _hurt(plain, dice))
        try:
            got = load(path)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert round_ % 2 == 0 or same(want, got, within=0.0)
        if round_ % 30 == 0:
            assert peak_of(path) < 100 * MEGABYTE
    assert refused > 150
    assert manifest["version"] == 1


def _hurt(plain, dice) -> None:
    """Change one field somewhere."""
    places = []

    def walk(value):
        if isinstance(value, dict | list) and value:
            for key in value if isinstance(value, dict) else range(len(value)):
                places.append((value, key))
                walk(value[key])

    walk({name: plain[name] for name in ("layers", "arrays", "version", "images")})
    held, key = dice.choice(places)
    odd = [None, -1, 0, 1, 2**31, 10**30, 1e308, "", "x", [], {}, [[]], True, {"$array": 0}, {"$number": "nan"}]
    if dice.random() < 0.2 and isinstance(held, dict):
        del held[key]
    else:
        held[key] = dice.choice(odd)
