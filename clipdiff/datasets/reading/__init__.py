"""What readers of data sets share: list files, pickles, folders of classes, records of images."""
