/*
 * A network in miniature: a relay between two sockets that can be cut at any byte, and told what
 * else to do to the bytes that it carries: by rules, each for a place in the stream of a connection.
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

/*
 * Listens at `path`; each connection there is carried on to `to`.  Both are paths of unix sockets,
 * or "tcp:PORT" on this host; a port 0 to listen at takes a free one.
 */
Relay *relay_new(const char *path, const char *to);
/* The same for a destination that chooses its port when it is told to listen. */
void relay_set_to(Relay *r, const char *to);
unsigned relay_port(Relay *r); /* of TCP */
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
typedef enum RelayDirection { RELAY_FORWARD, RELAY_BACK } RelayDirection;
typedef enum RelayAction {
    RELAY_CUT,     /* both directions end */
    RELAY_RESET,   /* the same, as if the peer's host knew nothing of it (TCP; else it is a cut) */
    RELAY_STALL,   /* nothing goes on in this direction until the rules are cleared */
    RELAY_CORRUPT, /* the next `amount` bytes are changed */
    RELAY_DROP,    /* the next `amount` bytes are left out */
    RELAY_INSERT,  /* `amount` bytes of 0xaa come in between */
    RELAY_TRICKLE, /* from here on `amount` bytes go at a time, a millisecond apart */
} RelayAction;
#define RELAY_ANY (-1)
typedef struct RelayRule {
    int connection;     /* 0: the first since the relay began (or its rules were cleared); RELAY_ANY */
    RelayDirection dir;
    RelayAction action;
    uint64_t at;        /* behind so many bytes of that direction, or at once if they have gone */
    uint64_t amount;
} RelayRule;
/* A rule acts once on each connection that it is for. */
void relay_add_rule(Relay *r, RelayRule rule);
/* What was stalled or trickles goes on; connections are counted from 0 again. */
void relay_clear_rules(Relay *r);
/*
 * Bytes of 0xaa, into the oldest connection that there is, when nothing has moved
 * there for a moment.
 */
void relay_inject(Relay *r, RelayDirection dir, size_t amount);
/* How often rules have acted. */
unsigned relay_acted(Relay *r);
/* Bytes that all connections have carried since the relay began. */
uint64_t relay_total(Relay *r, RelayDirection dir);
/* Bytes that the newest connection has carried. */
uint64_t relay_forward(Relay *r);
uint64_t relay_back(Relay *r);

#endif
