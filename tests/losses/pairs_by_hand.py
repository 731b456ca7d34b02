"""One batch of pairs that several tests work on by hand; one token a side stands for its whole sum."""

import torch

from mmevolve.losses.inputs import LossInput

# Sums of log-probabilities: four pairs.
CHOSEN = [-12.0, -30.5, -8.25, -50.0]
REJECTED = [-14.0, -28.0, -9.75, -61.0]
REF_CHOSEN = [-13.0, -30.0, -9.0, -52.0]
REF_REJECTED = [-13.5, -29.0, -9.5, -58.0]
CHOSEN_LENGTH = [10, 25, 6, 40]
REJECTED_LENGTH = [12, 20, 8, 50]
# So u_w = 1, -0.5, 0.75, 2 and u_l = -0.5, 1, -0.25, -3; D = 1.5, -1.5, 1, 5.


def double(values, **kwargs):
    return torch.tensor(values, dtype=torch.float64, **kwargs)


def spread(sums, lengths):
    """(P, 50) each sum spread evenly over as many tokens as the completion has, NaN after them."""
    rows = torch.full((len(sums), 50), torch.nan, dtype=torch.float64)
    for i, (total, n) in enumerate(zip(sums, lengths, strict=True)):
        rows[i, :n] = total / n
    return rows


def batch(**more):
    """The four pairs; what the mask leaves out is NaN."""
    logps = torch.cat([spread(CHOSEN, CHOSEN_LENGTH), spread(REJECTED, REJECTED_LENGTH)])
    reference = torch.cat([spread(REF_CHOSEN, CHOSEN_LENGTH), spread(REF_REJECTED, REJECTED_LENGTH)])
    given = {
        "logps": logps.requires_grad_(),
        "mask": (~logps.isnan()).double(),
        "weight": torch.ones(8, dtype=torch.float64),
        "ref_logps": reference,
        "p_win": double([1.0, 0.75, 0.5, 0.0]),
        "names": tuple(f"s{i % 4}/0/{i // 4}" for i in range(8)),
    }
    return LossInput(**{**given, **more})


def small(chosen, rejected, ref_chosen=None, ref_rejected=None, **more):
    """Pairs of one token a side."""
    sides = double([*chosen, *rejected])[:, None].requires_grad_()
    zero = [0.0] * len(chosen)
    reference = double([*(ref_chosen or zero), *(ref_rejected or zero)])[:, None]
    ones = torch.ones(len(sides), dtype=torch.float64)
    return LossInput(sides, ones[:, None], ones, ref_logps=reference, **more)
