"""CIFAR-100 (Krizhevsky 2009), python version: pickles, read without running them."""

from typing import ClassVar, Literal

from clipdiff.datasets.reading.cifar_batches import CifarFolder


class Cifar100(CifarFolder):
    """CIFAR-100 with its fine labels."""

    kind: Literal["cifar100"] = "cifar100"

    needs: ClassVar[tuple[str, ...]] = ("train", "test", "meta")
    page: ClassVar[str] = "The CIFAR-100 dataset (Alex Krizhevsky, University of Toronto)"
    archives: ClassVar[str] = "CIFAR-100 python version, cifar-100-python.tar.gz (161 MB)"
    licence: ClassVar[str] = (
        "The CIFAR-100 dataset (states no licence; asks to cite the 2009 report)"
    )
    folders: ClassVar[tuple[str, ...]] = ("cifar-100-python",)

    training_files: ClassVar[str] = "train"
    test_file: ClassVar[str] = "test"
    names_file: ClassVar[str] = "meta"
    names_key: ClassVar[str] = "fine_label_names"
    labels_key: ClassVar[str] = "fine_labels"
