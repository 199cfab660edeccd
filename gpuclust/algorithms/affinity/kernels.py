"""Compiled update of one row of messages; `sparse_messages` explains the method.

All kernels of the update are in this file, because numba's cache on disk looks only at the file of
the function that is called: it would miss a change of a kernel in another file.  Arrays are taken
out of their named tuples before loops, because numba counts a reference at every access.
"""

from __future__ import annotations

import numpy as np

from .jit import compiled
from .state import Best, Row, Rule, Stored, Tracked

SEGMENT = 64  # columns
# Stands in S for similarities that are stored elsewhere, and in `segment_max` for stored segments.
# It must be finite: the first scale is 0, and 0 times infinity is NaN.
HIDDEN = np.float32(-np.finfo(np.float32).max)


@compiled
def hide_diagonal(S, segment_max, tracked_similarity):
    """Track the diagonal: move it out of S, and take the maxima of the segments without it."""
    for i in range(len(S)):
        tracked_similarity[i, 0], S[i, i] = S[i, i], HIDDEN
        for q in range(segment_max.shape[1]):
            segment_max[i, q] = _maximum(S[i], q)


@compiled
def unhide(S, tracked, tracked_similarity, tracked_count):
    """Write the similarities of all tracked columns back to S."""
    for i in range(len(S)):
        for k in range(tracked_count[i]):
            S[i, tracked[i, k]] = tracked_similarity[i, k]


@compiled
def _maximum(s, q):
    most = HIDDEN
    for j in range(q * SEGMENT, min(q * SEGMENT + SEGMENT, len(s))):
        most = max(most, s[j])
    return most


@compiled
def common_availability(previous, total, damping):
    """Update the common availability (n,) of each column, with damping."""
    keep, change, zero = np.float32(damping), np.float32(1 - damping), np.float32(0)
    common = np.empty_like(previous)
    for j in range(len(common)):
        common[j] = keep * previous[j] + change * min(total[j], zero)
    return common


@compiled
def update_rows(state, columns, step, rows, sums):
    """Update the messages of the rows ``rows[0]:rows[1]``, and add max(r, 0) to `sums` (n,)."""
    keep, change = np.float32(step.damping), np.float32(1 - step.damping)
    S, A, maxima, stored = state.similarity, state.availability, state.segment_max, state.stored
    offset, rivals, stored_count = state.offset, state.rival, state.stored_count
    tracked_count, own = state.tracked_count, state.self_responsibility
    ids, similarity = state.tracked, state.tracked_similarity
    bonuses, availability = state.tracked_bonus, state.tracked_availability
    total, common = columns.total, columns.common
    scratch = np.empty(maxima.shape[1] + 1, np.int64)
    for i in range(rows[0], rows[1]):
        row, segments = Row(i, S[i], A[i], maxima[i], scratch), stored[i]
        rule = Rule(step.scale, np.float32(offset[i]), keep, change)
        lists = ids[i], similarity[i], bonuses[i], availability[i]
        tracked = Tracked(*lists, tracked_count[i])
        first, second, column = _update_tracked(i, total, rule, tracked)
        best = Best(first, second, column, np.float32(-np.inf), rivals[i])
        count = _store_exceptions(row, columns, rule, segments, stored_count[i])
        remaining = _update_stored(row, columns, rule, segments, count)
        best = _search(row, columns, Stored(segments, count), best)
        rivals[i] = best.rival
        offset[i] = step.damping * offset[i] + (1 - step.damping) * best.first
        bonus = change * (best.first - best.second)
        place = _add_bonus(tracked, keep, best.column, bonus)
        if place == tracked.used:
            _track(row, common, tracked, place)
            tracked_count[i] += 1
            tracked = Tracked(*lists, tracked_count[i])
        for k in range(remaining, count):
            maxima[i, segments[k]] = _maximum(S[i], segments[k])
        stored_count[i] = remaining
        rule = Rule(step.next_scale, np.float32(offset[i]), keep, change)
        kept = Stored(segments, remaining)
        own[i] = _add_to_sums(row, rule, tracked, kept, sums)


# ---- tracked columns ----------------------------------------------------------------------------


@compiled
def _update_tracked(sample, total, rule, tracked):
    """Update the availabilities of the tracked columns.

    Return the two largest a + s among them, and the column of the first.
    """
    columns, similarity, bonus, availability, used = tracked
    zero, first, second = np.float32(0), np.float32(-np.inf), np.float32(-np.inf)
    best = 0
    for k in range(used):
        j = columns[k]
        responsibility = rule.scale * similarity[k] - rule.offset + bonus[k]
        if j == sample:  # the self-availability is not capped at 0
            new = total[j] - responsibility
        else:
            new = min(total[j] - max(responsibility, zero), zero)
        availability[k] = rule.keep * availability[k] + rule.change * new
        value = availability[k] + similarity[k]
        if value > first:
            first, second, best = value, first, j
        else:
            second = max(second, value)
    return first, second, best


@compiled
def _add_bonus(tracked, keep, column, bonus):
    """Damp all bonuses of the row and add one to `column`; return its place in the list.

    The place is ``tracked.used`` for a column that was not tracked before.
    """
    columns, bonuses, found = tracked.column, tracked.bonus, tracked.used
    for k in range(tracked.used):
        bonuses[k] *= keep
        if columns[k] == column:
            found = k
    columns[found] = column
    bonuses[found] += bonus
    return found


@compiled
def _track(row, common, tracked, place):
    """Copy s and a of the column at `place` to the list, and hide the column in S."""
    j = tracked.column[place]
    q = j // SEGMENT
    is_stored = row.segment_max[q] == HIDDEN
    tracked.similarity[place] = row.similarity[j]
    tracked.availability[place] = row.availability[j] if is_stored else common[j]
    row.similarity[j] = HIDDEN
    if not is_stored:
        row.segment_max[q] = _maximum(row.similarity, q)


# ---- stored segments ----------------------------------------------------------------------------


@compiled
def _store_exceptions(row, columns, rule, segments, count):
    """Store segments with a responsibility above its threshold; return the number of all stored."""
    maxima, lowest = row.segment_max, columns.segment_threshold
    if _any_above(maxima, lowest, rule):
        s, threshold = row.similarity, columns.threshold
        for q in range(len(maxima)):
            part = slice(q * SEGMENT, min(q * SEGMENT + SEGMENT, len(s)))
            may_exceed = rule.scale * maxima[q] - rule.offset > lowest[q]
            if may_exceed and _any_above(s[part], threshold[part], rule):
                row.availability[part] = columns.previous[part]
                maxima[q] = HIDDEN
                segments[count] = q
                count += 1
    return count


@compiled
def _any_above(s, threshold, rule):
    above = 0
    for j in range(len(s)):
        above += rule.scale * s[j] - rule.offset > threshold[j]
    return above > 0


@compiled
def _update_stored(row, columns, rule, segments, count):
    """Update the stored segments, move the ones to keep to the front, and return their number.

    A segment is kept while one of its a + s differs from the value by the common availability.
    """
    s, a, total, common = row.similarity, row.availability, columns.total, columns.common
    remaining = 0
    for k in range(count):
        q = segments[k]
        part = slice(q * SEGMENT, min(q * SEGMENT + SEGMENT, len(s)))
        differing = _update_segment(s[part], a[part], total[part], common[part], rule)
        segments[k], segments[remaining] = segments[remaining], q
        remaining += differing > 0
    return remaining


@compiled
def _update_segment(s, a, total, common, rule):
    zero, differing = np.float32(0), 0
    for j in range(len(s)):
        new = min(total[j] - max(rule.scale * s[j] - rule.offset, zero), zero)
        a[j] = rule.keep * a[j] + rule.change * new
        differing += a[j] + s[j] != common[j] + s[j]
    return differing


# ---- all segments -------------------------------------------------------------------------------


@compiled
def _search(row, columns, stored, best):
    """Return the best of all columns, given the best of the tracked ones and the last rival."""
    # A column that is not tracked bounds the second largest from below, so most segments need no
    # search; the rival of the last iteration is the one most likely to be large.
    s, a, common, at = row.similarity, row.availability, columns.common, best.rival
    maxima, common_max, segments = row.segment_max, columns.segment_common, stored.segment
    other = a[at] if maxima[at // SEGMENT] == HIDDEN else common[at]
    bound = max(best.second, min(best.first, other + s[at]))
    for k in range(stored.used):
        best = _search_segment(s, a, segments[k], bound, best)
        bound = max(bound, best.second)
    promising, hits = row.scratch, 0
    for q in range(len(maxima)):
        promising[hits] = q
        hits += maxima[q] + common_max[q] >= bound
    for k in range(hits):
        best = _search_segment(s, common, promising[k], bound, best)
        bound = max(bound, best.second)
    return best


@compiled
def _search_segment(similarity, availability, q, bound, best):
    start = np.int64(q * SEGMENT)
    part = slice(start, min(start + SEGMENT, len(similarity)))
    s, a = similarity[part], availability[part]
    if not _any_from(s, a, bound):
        return best
    first, second, column, rival_value, rival = best
    for j in range(len(s)):
        value = s[j] + a[j]
        if value > rival_value:
            rival_value, rival = value, start + j
        if value > first:
            first, second, column = value, first, start + j
        else:
            second = max(second, value)
    return Best(first, second, column, rival_value, rival)


@compiled
def _any_from(s, a, bound):
    found = 0
    for j in range(len(s)):
        found += s[j] + a[j] >= bound
    return found > 0


@compiled
def _add_to_sums(row, rule, tracked, stored, sums):
    """Add max(r, 0) of the row to the sums, but r itself on the diagonal, and return the latter."""
    s, maxima, segments = row.similarity, row.segment_max, stored.segment
    zero, above = np.float32(0), 0
    for q in range(len(maxima)):
        above += rule.scale * maxima[q] - rule.offset > zero
    for q in range(len(maxima) if above else 0):
        if rule.scale * maxima[q] - rule.offset > zero:
            _add_segment(s, sums, q, rule)
    for k in range(stored.used):
        _add_segment(s, sums, segments[k], rule)
    columns, similarity, bonus, _, used = tracked
    self_responsibility = np.float32(0)
    for k in range(used):
        responsibility = rule.scale * similarity[k] - rule.offset + bonus[k]
        if columns[k] == row.sample:
            self_responsibility = responsibility
            sums[row.sample] += self_responsibility
        else:
            sums[columns[k]] += max(responsibility, zero)
    return self_responsibility


@compiled
def _add_segment(similarity, sums, q, rule):
    zero = np.float32(0)
    part = slice(q * SEGMENT, min(q * SEGMENT + SEGMENT, len(similarity)))
    s, total = similarity[part], sums[part]
    for j in range(len(s)):
        total[j] += max(rule.scale * s[j] - rule.offset, zero)
