"""How much of the gap between domains lies in the classes: the estimate of the balance factor."""

import numpy as np


def balance(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, guesses: np.ndarray, classes: int) -> float:
    """mu in [0, 1]: 0, the domains differ as a whole; 1, class by class. Wang et al. 2018 (MEDA), eq. 14-15.

    mu = 1 - d / (d + mean_c d_c), d the proxy A-distance of the domains and d_c that of one class.
    """
    whole = proxy_a_distance(xs, xt)
    gaps = [
        proxy_a_distance(xs[ys == label], xt[guesses == label])
        for label in range(classes)
        if (ys == label).sum() > 1 and (guesses == label).sum() > 1
    ]
    inner = float(np.mean(gaps)) if gaps else 0.0
    total = whole + inner
    return inner / total if total > 1e-9 else 0.5


def proxy_a_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 (1 - 2 err) of a ridge classifier that tells x from y, halves of each held out in turn; 0 to 2.

    Ben-David et al. 2007. Both sides weigh the same, so that 0 is chance.
    """
    errors = []
    for held in (0, 1):
        train_x, train_y = (x[1 - held :: 2], y[1 - held :: 2]) if len(x) > 1 and len(y) > 1 else (x, y)
        mean = (train_x.mean(axis=0) + train_y.mean(axis=0)) / 2
        design = np.concatenate([(train_x - mean) / np.sqrt(len(train_x)), (train_y - mean) / np.sqrt(len(train_y))])
        aims = np.repeat([1 / np.sqrt(len(train_x)), -1 / np.sqrt(len(train_y))], [len(train_x), len(train_y)])
        weight = _ridge(design, aims)
        wrong = ((x[held::2] - mean) @ weight <= 0).mean() + ((y[held::2] - mean) @ weight > 0).mean()
        errors.append(wrong / 2)
    return float(np.clip(2.0 * (1.0 - 2.0 * np.mean(errors)), 0.0, 2.0))


def _ridge(x: np.ndarray, aims: np.ndarray, strength: float = 0.01) -> np.ndarray:
    n, d = x.shape
    penalty = strength * (x * x).sum() / min(n, d)
    if n < d:
        return x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(n), aims)
    return np.linalg.solve(x.T @ x + penalty * np.eye(d), x.T @ aims)
