"""CIFAR-10 (Krizhevsky 2009), python version: pickles, read without running them."""

from typing import ClassVar, Literal

from clipdiff.datasets.reading.cifar_batches import CifarFolder


class Cifar10(CifarFolder):
    """CIFAR-10."""

    kind: Literal["cifar10"] = "cifar10"

    needs: ClassVar[tuple[str, ...]] = (
        *(f"data_batch_{part}" for part in range(1, 6)),
        "test_batch",
        "batches.meta",
    )
    page: ClassVar[str] = "The CIFAR-10 dataset (Alex Krizhevsky, University of Toronto)"
    archives: ClassVar[str] = "CIFAR-10 python version, cifar-10-python.tar.gz (163 MB)"
    licence: ClassVar[str] = (
        "The CIFAR-10 dataset (states no licence; asks to cite the 2009 report)"
    )
    folders: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py",)

    training_files: ClassVar[str] = "data_batch_*"
    test_file: ClassVar[str] = "test_batch"
    names_file: ClassVar[str] = "batches.meta"
    names_key: ClassVar[str] = "label_names"
    labels_key: ClassVar[str] = "labels"
