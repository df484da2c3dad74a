/*
 * Telling the network where a guest is: after a migration, switches have to learn at which
 * port its addresses are now.  Main thread, machine lock; timers on the host's clock, as the
 * guest's may stand still.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "net/netdev.h"
#include "qapi/qapi-commands.h"
#include "trace/net.h"

enum { RARP_LENGTH = 60 }; /* the shortest frame, without its checksum */

/* One series of announcements. */
typedef struct Series {
    char *id;            /* "" for the one without a name */
    GPtrArray *cards;    /* names; NULL: all cards */
    NetAnnounce params;
    uint64_t round;      /* how many went out */
    guint timer;         /* 0: none */
    struct Series *next;
} Series;

static Series *all_series; /* machine lock */

static void series_free(Series *s)
{
    if (s->timer) {
        g_source_remove(s->timer);
    }
    if (s->cards) {
        g_ptr_array_unref(s->cards);
    }
    g_free(s->id);
    g_free(s);
}

static void series_end(const char *id)
{
    for (Series **p = &all_series; *p; p = &(*p)->next) {
        if (!strcmp((*p)->id, id)) {
            Series *s = *p;
            *p = s->next;
            series_free(s);
            return;
        }
    }
}

/* A request of RARP (RFC 903): "who is this address?", from it and about it. */
static void make_rarp(uint8_t frame[RARP_LENGTH], const uint8_t mac[ETH_ALEN])
{
    static const uint8_t fixed[] = {
        0x80, 0x35, /* type: RARP */
        0x00, 0x01, /* hardware: Ethernet */
        0x08, 0x00, /* protocol: IPv4 */
        6,    4,    /* lengths of addresses */
        0x00, 0x03, /* request */
    };

    memset(frame, 0, RARP_LENGTH);
    memset(frame, 0xff, ETH_ALEN);
    memcpy(frame + 6, mac, ETH_ALEN);
    memcpy(frame + 12, fixed, sizeof(fixed));
    memcpy(frame + 22, mac, ETH_ALEN); /* of the sender; its IP address stays 0 */
    memcpy(frame + 32, mac, ETH_ALEN); /* of the one that is asked about */
}

static void announce_card(NetClient *nc)
{
    uint8_t frame[RARP_LENGTH];

    make_rarp(frame, nc->mac);
    trace_net_announce(nc->name);
    net_send(nc, frame, sizeof(frame));
    if (nc->ops->announce) {
        nc->ops->announce(nc);
    }
}

static bool is_meant(const Series *s, const NetClient *nc)
{
    for (guint i = 0; s->cards && i < s->cards->len; i++) {
        if (!strcmp(s->cards->pdata[i], nc->name)) {
            return true;
        }
    }
    return !s->cards;
}

uint64_t net_announce_delay_ms(const NetAnnounce *p, uint64_t round)
{
    uint64_t ms = p->initial_ms + (round - 1) * p->step_ms;

    return p->max_ms ? MIN(ms, p->max_ms) : ms;
}

static gboolean next_round(gpointer opaque)
{
    Series *s = opaque;

    s->timer = 0;
    for (NetClient *nc = net_client_first(); nc; nc = nc->next) {
        if (nc->mac && is_meant(s, nc)) {
            announce_card(nc);
        }
    }
    if (++s->round < s->params.rounds) {
        s->timer = g_timeout_add(net_announce_delay_ms(&s->params, s->round), next_round, s);
    } else {
        series_end(s->id);
    }
    return G_SOURCE_REMOVE;
}

static void series_start(const char *id, const NetAnnounce *params, const GPtrArray *cards)
{
    Series *s;

    series_end(id);
    if (!params->rounds) {
        return;
    }
    s = g_new0(Series, 1);
    s->id = g_strdup(id);
    s->params = *params;
    if (cards) {
        s->cards = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < cards->len; i++) {
            g_ptr_array_add(s->cards, g_strdup(cards->pdata[i]));
        }
    }
    s->next = all_series;
    all_series = s;
    next_round(s);
}

void net_announce(const NetAnnounce *params)
{
    series_start("", params, NULL);
}

void net_announce_cleanup(void)
{
    while (all_series) {
        series_end(all_series->id);
    }
}

bool qmp_announce_self(const AnnounceParameters *args, Error **errp)
{
    const struct {
        const char *name;
        int64_t value, min, max;
    } limits[] = {
        { "initial", args->initial, 0, 100000 },
        { "max", args->max, 0, 100000 },
        { "rounds", args->rounds, 0, 1000 },
        { "step", args->step, 0, 10000 },
    };
    NetAnnounce params = { args->initial, args->max, args->rounds, args->step };

    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        if (limits[i].value < limits[i].min || limits[i].value > limits[i].max) {
            error_setg(errp, "Parameter '%s' expects a number from %" G_GINT64_FORMAT " to %"
                       G_GINT64_FORMAT, limits[i].name, limits[i].min, limits[i].max);
            return false;
        }
    }
    series_start(args->id ? args->id : "", &params, args->interfaces);
    return true;
}
