"""Files between stages are whole or absent."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
import torch

from clipdiff import files
from clipdiff.errors import DataError

OWN_MOUNTS = ["unshare", "--map-root-user", "--mount"]
MOUNT_AND_RUN = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$1" -c "$2" "$0"'
FILL_THE_DISK = """
import os, sys, pandas, torch
from clipdiff import files
from clipdiff.errors import DataError
folder = sys.argv[1]
files.write_json(folder + "/kept", 1)
for name, write, value in (
    ("j", files.write_json, ["x" * 99_999]),
    ("p", files.write_parquet, pandas.DataFrame({"x": torch.rand(99_999).numpy()})),
    ("t", files.write_tensors, {"x": torch.ones(99_999)}),
):
    try:
        write(f"{folder}/{name}", value)
    except DataError as error:
        print(error)
print(os.listdir(folder))
"""


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    files.write_json(target, {"kept": 1})
    with pytest.raises(TypeError):
        files.write_json(target, {"half": object()})
    with pytest.raises(FileNotFoundError), files.written_whole(target):
        pass  # the writer never wrote
    assert files.read_json(target) == {"kept": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    if subprocess.run([*OWN_MOUNTS, "true"], check=False).returncode:
        pytest.skip("this system lets no user mount a file system of its own")
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", MOUNT_AND_RUN, tmp_path, sys.executable, FILL_THE_DISK],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *(f"{tmp_path}/{name}: the disk is full; free some space and run again" for name in "jpt"),
        "['kept']",
    ]


def test_truncated_files_name_themselves(tmp_path: Path) -> None:
    table, tensors, facts = (tmp_path / name for name in ("a.parquet", "a.safetensors", "a.json"))
    files.write_parquet(table, pd.DataFrame({"x": range(1000)}))
    files.write_tensors(tensors, {"x": torch.zeros(1000)})
    files.write_json(facts, {"x": 1})
    for path, read in (
        (table, files.read_parquet),
        (tensors, files.read_tensors),
        (facts, files.read_json),
    ):
        path.write_bytes(path.read_bytes()[:-20] if path != facts else b'{"x": ')
        with pytest.raises(DataError, match=path.name):
            read(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "a.parquet", pd.DataFrame({"x": [1]}))
    with pytest.raises(DataError, match=r"lacks the columns \['y'\]; it has \['x'\]"):
        files.read_parquet(tmp_path / "a.parquet", ["x", "y"])


HOLD = """
import sys
from pathlib import Path
from clipdiff import files

with files.alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
    print("released", flush=True)
"""


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path, caplog) -> None:
    command = [sys.executable, "-c", HOLD, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        timer = threading.Timer(0.5, other.stdin.close)
        timer.start()
        with files.alone(tmp_path):
            assert other.stdout.readline() == "released\n"
    assert "another job works here" in caplog.text


def test_a_killed_process_lets_go_of_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        other.stdout.readline()
        other.kill()
        with files.alone(tmp_path):
            assert other.wait(timeout=10) != 0


def test_only_the_columns_and_rows_that_are_asked_for_are_read(tmp_path):
    table = pd.DataFrame({"c": [1, 2, 3], "a": ["x", "y", "z"], "b": [b"1", b"2", b"3"]})
    path = tmp_path / "a.parquet"
    files.write_parquet(path, table, group=2)
    assert files.read_parquet(path, ["a"]).equals(table)
    assert files.read_parquet(path, ["a"], optional=["c", "d"]).equals(table[["c", "a"]])
    found = files.read_parquet(path, ["a"], optional=(), filters=[("c", ">=", 2)])
    assert found.equals(pd.DataFrame({"a": ["y", "z"]}))
