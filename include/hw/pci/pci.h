/*
 * PCI: buses, devices with a configuration space, base address registers, INTx and MSI-X.
 *
 * A device type is a TypeInfo with parent TYPE_PCI_DEVICE and a PCIDeviceClass, made with
 * PCI_DEVICE_CLASS(), as class_data.  Everything runs under the machine lock.  Numbers
 * are those of the PCI Local Bus Specification 3.0 and PCI Express Base 2.0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_PCI_PCI_H
#define FERRY_HW_PCI_PCI_H

#include "hw/core/device.h"
#include "hw/pci/pci-regs.h"
#include "system/address-space.h"

#define TYPE_PCI_DEVICE "pci-device"
#define PCI_DEVICE(obj) ((PCIDevice *)object_check((obj), TYPE_PCI_DEVICE))

#define PCI_DEVFN(slot, func) ((slot) << 3 | (func))
#define PCI_SLOT(devfn) ((devfn) >> 3 & 0x1f)
#define PCI_FUNC(devfn) ((devfn) & 7)
#define PCI_DEVFN_AUTO (-1)
#define PCI_NUM_BARS 6
#define PCI_NUM_PINS 4
#define PCI_CONFIG_SIZE 256
#define PCIE_CONFIG_SIZE 4096

typedef struct PCIDevice PCIDevice;
typedef struct PCIBus PCIBus;
typedef struct MSIX MSIX;

typedef struct PCIDeviceClass {
    DeviceClass parent;
    uint16_t vendor_id, device_id, class_id;
    uint16_t subsystem_vendor_id, subsystem_id; /* both 0: the common ones */
    uint8_t revision;
    bool bridge;              /* header type 1, with a bus behind it */
    /* Configuration space is made, BARs and capabilities are added here. */
    bool (*realize)(PCIDevice *d, Error **errp);
    void (*unrealize)(PCIDevice *d);
    void (*reset)(PCIDevice *d);
    /* After the write was done; may be NULL. */
    void (*config_written)(PCIDevice *d, unsigned addr, unsigned size);
    /* Before a read of a register that the device has to bring up to date; may be NULL. */
    void (*config_reading)(PCIDevice *d, unsigned addr, unsigned size);
} PCIDeviceClass;

/* What every class_data says; then .vendor_id and so on.  DeviceClass members in `...`. */
#define PCI_DEVICE_CLASS(...)                                                              \
    .parent = { .bus = "PCI", .realize = pci_device_realize,                               \
                .unrealize = pci_device_unrealize, .reset = pci_device_reset, __VA_ARGS__ }

typedef struct PCIBar {
    uint64_t size;            /* power of two; 0: there is none */
    uint8_t type;             /* PCI_BAR_IO, or memory with PCI_BAR_64 and PCI_BAR_PREFETCH */
    const IORegionOps *ops;
    void *opaque;
} PCIBar;

struct PCIDevice {
    DeviceState dev;
    PCIBus *bus;
    PCIBus *secondary;        /* of a bridge */
    char *addr;               /* property: "SLOT", "SLOT.FUNCTION", hexadecimal; NULL: first free */
    bool multifunction;
    int devfn;                /* PCI_DEVFN_AUTO until realized */
    bool express;             /* has PCIE_CONFIG_SIZE bytes of configuration space */
    int32_t version_id;       /* saved state */
    uint8_t *config;
    uint8_t *wmask;           /* bits that the guest may change */
    uint8_t *w1cmask;         /* bits that it clears by writing ones */
    uint8_t *cmask;           /* bits that a stream must agree with */
    uint8_t *used;            /* bytes that a capability has */
    PCIBar bars[PCI_NUM_BARS];
    uint32_t irq_state;       /* bit n: pin n is asserted */
    MSIX *msix;               /* NULL: has none */
};

static inline const PCIDeviceClass *pci_device_class(const PCIDevice *d)
{
    return (const PCIDeviceClass *)device_class(&d->dev);
}

/* For PCI_DEVICE_CLASS(). */
bool pci_device_realize(DeviceState *dev, Error **errp);
void pci_device_unrealize(DeviceState *dev);
void pci_device_reset(DeviceState *dev);

static inline unsigned pci_config_size(const PCIDevice *d)
{
    return d->express ? PCIE_CONFIG_SIZE : PCI_CONFIG_SIZE;
}
uint16_t pci_get16(const uint8_t *p);
uint32_t pci_get32(const uint8_t *p);
uint64_t pci_get64(const uint8_t *p);
void pci_set16(uint8_t *p, uint16_t v);
void pci_set32(uint8_t *p, uint32_t v);
void pci_set64(uint8_t *p, uint64_t v);

/* In realize: BAR n (and n + 1 with PCI_BAR_64); ops get offsets into the BAR. */
void pci_add_bar(PCIDevice *d, unsigned n, uint8_t type, uint64_t size, const IORegionOps *ops,
                 void *opaque);
/* In realize: a capability of `size` bytes, header included; its offset.  Zeroed otherwise. */
unsigned pci_add_capability(PCIDevice *d, uint8_t id, unsigned size);
/* In realize: PCI Express capability of a port or endpoint; its offset. */
unsigned pci_add_express(PCIDevice *d, uint8_t port_type, uint8_t port);
unsigned pci_find_capability(const PCIDevice *d, uint8_t id); /* 0: none */

/* The guest's accesses; size 1, 2 or 4, not across a dword. */
uint32_t pci_config_read(PCIDevice *d, unsigned addr, unsigned size);
void pci_config_write(PCIDevice *d, unsigned addr, uint32_t value, unsigned size);

/* Where BAR n answers; false when it does not (decoding off, no address). */
bool pci_bar_address(const PCIDevice *d, unsigned n, uint64_t *ret_addr);
bool pci_bus_master(const PCIDevice *d); /* may it read and write memory? */

/* Level of the device's INTx pin (the one that PCI_INTERRUPT_PIN names). */
void pci_set_irq(PCIDevice *d, int level);

/* MSI-X with a BAR of its own: table and pending bits.  In realize. */
bool msix_init(PCIDevice *d, unsigned bar, unsigned vectors, Error **errp);
void msix_free(PCIDevice *d);
void msix_reset(PCIDevice *d);
bool msix_enabled(const PCIDevice *d);
unsigned msix_vectors(const PCIDevice *d);
/* Send the vector's message, or keep it pending while it is masked. */
void msix_notify(PCIDevice *d, unsigned vector);
void msix_config_written(PCIDevice *d, unsigned addr, unsigned size);
/* Table and pending bits, as they are in saved state.  Load: false when the stream ends. */
struct Stream;
void msix_save(const PCIDevice *d, Stream *s);
bool msix_load(PCIDevice *d, Stream *s, Error **errp);

/* Saved state of any PCI device: the first field of its description. */
extern const VMStateDescription vmstate_pci_device;
#define VMSTATE_PCI_DEVICE(f, s) VMSTATE_STRUCT(f, s, 1, vmstate_pci_device, PCIDevice)

/* What is above the root bus: the machine's. */
typedef struct PCIHostOps {
    /* Interrupt line 0..n_irqs-1 of the host for a pin of a device on the root bus. */
    unsigned (*map_irq)(unsigned devfn, unsigned pin);
    void (*set_irq)(void *opaque, unsigned line, int level);
    void (*msi_send)(uint64_t addr, uint32_t data);
    unsigned n_irqs;
} PCIHostOps;

/* The root bus, named for -device bus=.  Once a machine. */
PCIBus *pci_root_bus_new(const char *name, bool express, const PCIHostOps *ops, void *opaque);
/* The bus behind a bridge, named after its id. */
PCIBus *pci_secondary_bus_new(PCIDevice *bridge, const char *name);
PCIBus *pci_root_bus(void); /* NULL: the machine has no PCI */
PCIDevice *pci_bus_device(const PCIBus *bus, unsigned devfn); /* or NULL */
PCIDevice *pci_bus_parent(const PCIBus *bus);                 /* bridge; NULL for the root bus */
bool pci_bus_is_express(const PCIBus *bus);
/* Number that the guest gave it (0 for the root bus). */
unsigned pci_bus_number(const PCIBus *bus);
/* Bus with that number, following what the bridges say; NULL if none answers. */
PCIBus *pci_bus_by_number(PCIBus *root, unsigned number);
/* The host's line for a pin of a device, through the bridges. */
unsigned pci_host_line(const PCIDevice *d, unsigned pin);
/* Level of a line of the host: for routing again when the routing has changed. */
bool pci_root_irq_level(unsigned line);

/* What pci-host.c dispatches to. */
PCIBar *pci_find_bar(PCIBus *bus, bool io, uint64_t addr, unsigned size, uint64_t *ret_offset);

/* Guest-physical windows in which memory BARs answer. */
typedef struct PCIWindows {
    uint64_t mem_start, mem_end;     /* below 4 GiB */
    uint64_t bar_start;              /* in there: first address that pci_setup() gives out */
    uint64_t mem64_start, mem64_end; /* above memory */
    uint16_t io_start;               /* first port that pci_setup() gives out */
} PCIWindows;
/* Ports 0xcf8 and 0xcfc, the windows, and every I/O port that no other device has. */
void pci_host_init(PCIBus *root, const PCIWindows *w);
/* Memory-mapped configuration space (ECAM) at addr, 1 MiB a bus; 0: off. */
void pci_host_set_ecam(uint64_t addr, uint64_t size);
/* Address register of 0xcf8, which travels with the host bridge. */
extern uint32_t pci_config_address;

/*
 * What firmware does: number the buses, place every BAR, open the bridges, switch decoding
 * on and write the interrupt lines (line_of(line of the host) is the register's value).
 */
void pci_setup(PCIBus *root, uint8_t (*line_of)(unsigned line));

#endif
