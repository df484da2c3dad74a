/*
 * A network in miniature: a relay between two unix sockets that can be cut at any byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_RELAY_H
#define FERRY_TESTS_RELAY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Relay Relay;

#define RELAY_NO_LIMIT UINT64_MAX

/* Listens at `path`; each connection there is carried on to `to`. */
Relay *relay_new(const char *path, const char *to);
/* Ends every connection and the relay. */
void relay_free(Relay *r);
/*
 * Connections end (both directions) after so many bytes forward / back of each, counted from
 * its start; those that are over are cut at once.
 */
void relay_set_limits(Relay *r, uint64_t forward, uint64_t back);
/* End every connection now / the newest one. */
void relay_cut(Relay *r);
void relay_cut_newest(Relay *r);
/* From now on what comes back is kept; what was kept goes on. */
void relay_hold_back(Relay *r);
void relay_release_back(Relay *r);
/* Nothing goes forward any more: writing fails there, `to` sees an end.  Back it goes on. */
void relay_refuse(Relay *r);
/* Bytes that the newest connection has carried. */
uint64_t relay_forward(Relay *r);
uint64_t relay_back(Relay *r);

#endif
