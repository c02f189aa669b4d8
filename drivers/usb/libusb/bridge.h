// The bridge: what libusb.Bus needs of libusb 1.0 and hidapi, as weak symbols, and a small layer above it that keeps
// everything that C writes to in C's memory. Layouts and numbers are those of libusb's documented interface
// (https://libusb.sourceforge.io/api-1.0/).

#ifndef LOKET_BRIDGE_H
#define LOKET_BRIDGE_H

#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/time.h>

typedef struct libusb_context libusb_context;
typedef struct libusb_device libusb_device;
typedef struct libusb_device_handle libusb_device_handle;
typedef struct hid_device_ hid_device;

struct libusb_iso_packet_descriptor {
	unsigned int length;
	unsigned int actual_length;
	int status;
};

struct libusb_transfer {
	libusb_device_handle *dev_handle;
	uint8_t flags;
	unsigned char endpoint;
	unsigned char type;
	unsigned int timeout;
	int status;
	int length;
	int actual_length;
	void (*callback)(struct libusb_transfer *);
	void *user_data;
	unsigned char *buffer;
	int num_iso_packets;
	struct libusb_iso_packet_descriptor iso_packet_desc[];
};

#define WEAK extern __attribute__((weak))
WEAK int libusb_init(libusb_context **);
WEAK void libusb_exit(libusb_context *);
WEAK ssize_t libusb_get_device_list(libusb_context *, libusb_device ***);
WEAK void libusb_free_device_list(libusb_device **, int);
WEAK uint8_t libusb_get_bus_number(libusb_device *);
WEAK uint8_t libusb_get_device_address(libusb_device *);
WEAK int libusb_open(libusb_device *, libusb_device_handle **);
WEAK void libusb_close(libusb_device_handle *);
WEAK int libusb_get_configuration(libusb_device_handle *, int *);
WEAK int libusb_set_configuration(libusb_device_handle *, int);
WEAK int libusb_claim_interface(libusb_device_handle *, int);
WEAK int libusb_release_interface(libusb_device_handle *, int);
WEAK int libusb_set_interface_alt_setting(libusb_device_handle *, int, int);
WEAK int libusb_set_auto_detach_kernel_driver(libusb_device_handle *, int);
WEAK int libusb_kernel_driver_active(libusb_device_handle *, int);
WEAK int libusb_attach_kernel_driver(libusb_device_handle *, int);
WEAK int libusb_clear_halt(libusb_device_handle *, unsigned char);
WEAK int libusb_reset_device(libusb_device_handle *);
WEAK struct libusb_transfer *libusb_alloc_transfer(int);
WEAK void libusb_free_transfer(struct libusb_transfer *);
WEAK int libusb_submit_transfer(struct libusb_transfer *);
WEAK int libusb_cancel_transfer(struct libusb_transfer *);
WEAK int libusb_handle_events_timeout_completed(libusb_context *, struct timeval *, int *);
WEAK int hid_exit(void);
WEAK hid_device *hid_open_path(const char *);
WEAK void hid_close(hid_device *);
WEAK int hid_read_timeout(hid_device *, unsigned char *, size_t, int);
WEAK int hid_write(hid_device *, const unsigned char *, size_t);
WEAK int hid_send_feature_report(hid_device *, const unsigned char *, size_t);
WEAK int hid_get_feature_report(hid_device *, unsigned char *, size_t);

// A transfer and the mark that its end sets.
struct loket_call {
	struct libusb_transfer *transfer;
	int done;
};

// loket_open opens the device with that bus number and address in a context of its own, which it fills in on success.
int loket_open(uint8_t bus, uint8_t address, libusb_context **, libusb_device_handle **);

// loket_call_new prepares a transfer with a buffer of length bytes; packets and packet_size are for isochronous ones.
// NULL: no memory.
struct loket_call *loket_call_new(libusb_device_handle *, uint8_t type, uint8_t endpoint, int length, int packets, int packet_size);
int loket_call_submit(struct loket_call *);
// loket_call_wait handles events for ms milliseconds at most; 1 once the transfer has ended, 0 while it has not, below 0 an
// error of the waiting itself.
int loket_call_wait(libusb_context *, struct loket_call *, int ms);
// loket_call_free overwrites the buffer and frees everything. The transfer must have ended.
void loket_call_free(struct loket_call *);
struct libusb_iso_packet_descriptor *loket_call_packet(struct loket_call *, int);

// loket_read reads the start of a file; the bytes read, or -1 with errno. The C library opens it, so that a test bed that
// stands before the C library is seen.
ssize_t loket_read(const char *path, void *buf, size_t size);

// loket_wipe overwrites memory in a way that no compiler removes.
void loket_wipe(void *, size_t);

#endif
