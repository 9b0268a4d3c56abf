/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batcher's odd-even merge sort (1968), pruned to the order statistics that are asked for.
 *
 * A network for a power of two serves any smaller number of wires: the missing ones hold +infinity,
 * which never moves. The network depends on public numbers only.
 */
#include "network.h"

#include <stdlib.h>

/* Batcher's merges in the iterative form: blocks of p sorted wires are merged in steps of k = p,
 * p/2, .., 1. */
static size_t sort_all(size_t wires, placet_comparator *out) {
    size_t length = 0;
    for (size_t p = 1; p < wires; p *= 2) {
        for (size_t k = p; k >= 1; k /= 2) {
            for (size_t j = k % p; j + k < wires; j += 2 * k) {
                for (size_t i = j; i < j + k && i + k < wires; i++) {
                    if (i / (2 * p) == (i + k) / (2 * p)) {
                        if (out != NULL) {
                            out[length] = (placet_comparator){(uint8_t)i, (uint8_t)(i + k), 0};
                        }
                        length++;
                    }
                }
            }
        }
    }
    return length;
}

/*
 * Backwards: a comparator stays if something reads what it writes. Two wires that are both only
 * summed at the end need no order among themselves, so a comparator between them goes too.
 */
static size_t prune(placet_comparator *all, size_t length, size_t wires, size_t low, size_t high) {
    enum { UNREAD, SUMMED, COMPARED } after[PLACET_NETWORK_WIRES];
    for (size_t wire = 0; wire < wires; wire++) {
        after[wire] = wire >= low && wire < high ? SUMMED : UNREAD;
    }
    size_t first = length; /* what stays is gathered at the end of the array */
    for (size_t i = length; i-- > 0;) {
        placet_comparator comparator = all[i];
        const size_t upper = comparator.upper, lower = comparator.lower;
        if (after[upper] == after[lower] && after[upper] != COMPARED) {
            continue;
        }
        comparator.keep = (uint8_t)((after[upper] != UNREAD ? PLACET_KEEP_UPPER : 0) |
                                    (after[lower] != UNREAD ? PLACET_KEEP_LOWER : 0));
        after[upper] = after[lower] = COMPARED;
        all[--first] = comparator;
    }
    for (size_t i = first; i < length; i++) {
        all[i - first] = all[i];
    }
    return length - first;
}

int placet_network_build(placet_network *network, size_t wires, size_t low, size_t high) {
    *network = (placet_network){.wires = wires, .low = low, .high = high};
    if (wires > PLACET_NETWORK_WIRES) {
        return 0;
    }
    const size_t length = sort_all(wires, NULL);
    network->comparators = malloc((length + 1) * sizeof *network->comparators);
    if (network->comparators == NULL) {
        return -1;
    }
    sort_all(wires, network->comparators);
    network->length = prune(network->comparators, length, wires, low, high);
    return 0;
}

void placet_network_free(placet_network *network) {
    free(network->comparators);
    network->comparators = NULL;
}
