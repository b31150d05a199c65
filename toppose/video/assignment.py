"""Who goes with whom: the exact answer to the assignment problem. Knows nothing of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Index = NDArray[np.intp]


def assign(cost: NDArray[np.floating], limit: float = np.inf) -> tuple[Index, Index]:
    """Cost (N,M) of every pair -> rows (K,) in rising order and their columns (K,), each used once, of the lowest total cost.

    To stay alone costs `limit`, so that no pair costs that much or more. Without a limit as many pair up as can, and infinite entries never
    do. Shortest augmenting paths (Jonker and Volgenant 1987) from a start where every row takes its cheapest column.

    >>> rows, columns = assign(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]]))
    >>> columns.tolist()
    [1, 0]
    """
    able = cost < limit if np.isfinite(limit) else np.isfinite(cost)
    rows, columns = np.flatnonzero(able.any(1)), np.flatnonzero(able.any(0))  # who can pair with nobody changes nothing
    if not len(rows):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    able, part = able[np.ix_(rows, columns)], cost[np.ix_(rows, columns)].astype(np.float64)
    alone = limit if np.isfinite(limit) else _more_than_all(part[able], min(part.shape))
    part = np.where(able, part, alone)
    if len(rows) <= len(columns):
        i, j = np.arange(len(rows)), _solve(part)
    else:
        j, i = np.arange(len(columns)), _solve(np.ascontiguousarray(part.T))
        order = np.argsort(i)
        i, j = i[order], j[order]
    paired = able[i, j]
    return rows[i[paired]], columns[j[paired]]


def _more_than_all(costs: Float, pairs: int) -> float:
    """A cost so high that no saving elsewhere makes up for it."""
    return float(costs.max() + (np.ptp(costs) + 1) * pairs)


def _solve(cost: Float) -> Index:
    """Finite cost (N,M) with N <= M -> the column (N,) of each row."""
    N, M = cost.shape
    u, v = cost.min(1), np.zeros(M)  # prices, with u + v <= cost everywhere and = cost at the pairs
    taken, rows = np.unique(cost.argmin(1), return_index=True)
    column_of, row_of = np.full(N, -1), np.full(M, -1)
    column_of[rows], row_of[taken] = taken, rows
    for row in np.flatnonzero(column_of < 0):
        _augment(cost, u, v, column_of, row_of, int(row))
    return column_of


def _augment(cost: Float, u: Float, v: Float, column_of: Index, row_of: Index, row: int) -> None:
    """Finds the cheapest way to give `row` a column too, by Dijkstra over the prices, and changes the prices and pairs along it."""
    M = cost.shape[1]
    length, open_length, via = np.full(M, np.inf), np.full(M, np.inf), np.full(M, -1)
    closed = np.zeros(M, bool)
    i, low = row, 0.0
    while True:
        step = low + cost[i] - u[i] - v
        better = ~closed & (step < length)
        length[better] = open_length[better] = step[better]
        via[better] = i
        j = int(open_length.argmin())
        low = float(length[j])
        if row_of[j] < 0:
            break
        closed[j], open_length[j] = True, np.inf
        i = int(row_of[j])
    u[row] += low
    u[row_of[closed]] += low - length[closed]
    v[closed] -= low - length[closed]
    while True:
        i = int(via[j])
        row_of[j], column_of[i], j = i, j, int(column_of[i])
        if i == row:
            return
