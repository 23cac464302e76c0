"""Handwritten digits as sentences: each 8 x 8 image becomes 64 words, one a pixel, such as `r3c4x12`.

Source: scikit-learn's copy of the UCI handwritten digits (Alpaydin and Kaynak, 1998), which arrives with the package.
"""

import csv
import io

HELD_BACK = 2


def digit_patches() -> tuple[str, tuple[str, str]]:
    """The images as CSV with the columns text and label (the digit), and two images more, kept out of it to predict."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    sentences = [
        " ".join(f"r{row}c{column}x{int(ink)}" for row, line in enumerate(image) for column, ink in enumerate(line))
        for image in digits.images
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows(zip(sentences[:-HELD_BACK], (int(digit) for digit in digits.target), strict=False))
    return out.getvalue(), (sentences[-2], sentences[-1])
