"""`transformers serve FOLDER ...` as a process of its own, on a machine whose torchvision may have no operators.

Run by tests/models/test_transformers_serve.py. Where torchvision's compiled library does not load (see
mmevolve/torchvision_ops.py) it can decode no pictures either; PIL then does, and nothing else of the server is changed.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import torch
from PIL import Image

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()

import torchvision.io  # noqa: E402 - the operators come first


def decode_image(encoded, mode=None, **_):
    """Encoded bytes as uint8 (3, H, W)."""
    image = Image.open(io.BytesIO(encoded.numpy().tobytes())).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        torchvision.io.decode_image(torch.zeros(1, dtype=torch.uint8))
    except RuntimeError as error:
        if "image extension" in str(error):
            torchvision.io.decode_image = decode_image
    from transformers.cli.transformers import main

    sys.argv[0] = "transformers"
    sys.exit(main())
