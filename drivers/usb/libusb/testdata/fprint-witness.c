/* fprint-witness DRIVER: captures one image with libfprint from the device that DRIVER drives, and writes it as a PGM file.
 *
 * libfprint is another maker's driver for devices that ours drive too: what both see is there. */
#include <stdio.h>
#include <string.h>
#include <libfprint-2/fprint.h>

static int fail(const char *doing, GError *error)
{
	fprintf(stderr, "fprint-witness: %s: %s\n", doing, error ? error->message : "nothing was found");
	return 1;
}

int main(int argc, char **argv)
{
	GError *error = NULL;
	FpContext *context = fp_context_new();
	GPtrArray *devices = fp_context_get_devices(context);
	FpDevice *device = NULL;

	for (guint i = 0; argc == 2 && devices && i < devices->len; i++) {
		FpDevice *candidate = g_ptr_array_index(devices, i);
		if (strcmp(fp_device_get_driver(candidate), argv[1]) == 0)
			device = candidate;
	}
	if (!device)
		return fail("looking for the device", NULL);
	if (!fp_device_open_sync(device, NULL, &error))
		return fail("opening", error);
	fprintf(stderr, "opened %s\n", fp_device_get_name(device));
	FpImage *image = fp_device_capture_sync(device, TRUE, NULL, &error);
	if (!image)
		return fail("capturing", error);
	gsize size = 0;
	const guchar *pixels = fp_image_get_data(image, &size);
	printf("P5 %u %u 255\n", fp_image_get_width(image), fp_image_get_height(image));
	if (fwrite(pixels, 1, size, stdout) != size || fflush(stdout) != 0)
		return fail("writing", NULL);
	if (!fp_device_close_sync(device, NULL, &error))
		return fail("closing", error);
	return 0;
}
