/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting networks that leave the order statistics low .. high-1 in their places, in any order
 * among themselves. */
#ifndef PLACET_NETWORK_H
#define PLACET_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#define PLACET_NETWORK_WIRES                                                                       \
    256 /* more clients are counted, not sorted: a network grows as n log^2 n */

/* Compares the rows `upper` and `lower` (upper < lower): the smaller goes up, the larger goes down.
 * */
typedef struct {
    uint8_t upper, lower;
    uint8_t keep; /* PLACET_KEEP_...: what is read again afterwards */
} placet_comparator;
enum { PLACET_KEEP_UPPER = 1, PLACET_KEEP_LOWER = 2, PLACET_KEEP_BOTH = 3 };

typedef struct {
    size_t wires, low, high;
    size_t length; /* 0 where wires > PLACET_NETWORK_WIRES */
    placet_comparator *comparators;
} placet_network;

/* Builds the network for 0 <= low < high <= wires. Returns 0, or -1 when memory is short. */
int placet_network_build(placet_network *network, size_t wires, size_t low, size_t high);
void placet_network_free(placet_network *network);

#endif
