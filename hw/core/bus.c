/*
 * Buses: named places that -device bus= can choose.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"

static Bus *buses;

Bus *bus_new(const char *type, const char *name)
{
    Bus *bus = g_new0(Bus, 1);
    Bus **tail = &buses;

    bus->type = type;
    bus->name = g_strdup(name);
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = bus;
    return bus;
}

const Bus *bus_first(void)
{
    return buses;
}

const Bus *bus_by_name(const char *name)
{
    const Bus *bus = buses;

    while (bus && !g_str_equal(bus->name, name)) {
        bus = bus->next;
    }
    return bus;
}

const Bus *bus_by_type(const char *type)
{
    const Bus *bus = buses;

    while (bus && !g_str_equal(bus->type, type)) {
        bus = bus->next;
    }
    return bus;
}
