// HEIC through libheif: the primary picture, turned and mirrored as the file says, as pillow-heif
// gives it.
#include <algorithm>
#include <memory>

#include <libheif/heif.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"
#include "cliplens/io/printable.h"

namespace cliplens {

namespace {

struct HeifFree {
  void operator()(heif_context* context) const { heif_context_free(context); }
  void operator()(heif_image_handle* handle) const { heif_image_handle_release(handle); }
  void operator()(heif_image* image) const { heif_image_release(image); }
};

void CheckHeif(const heif_error& error, const internal::DecodeRequest& request) {
  const char* why = error.message == nullptr ? "unknown" : error.message;
  switch (error.code) {
    case heif_error_Ok:
      return;
    case heif_error_Unsupported_feature:
    case heif_error_Unsupported_filetype:
      request.ThrowNotRead("HEIC", why);
    case heif_error_Memory_allocation_error:
      throw Error(ErrorCode::kExhausted,
                  "{}: libheif refuses to take memory ({}); make the "
                  "picture smaller",
                  request.name(), Printable(why, 200));
    default:
      request.ThrowBroken("HEIC", why);
  }
}

}  // namespace

Image internal::DecodeHeic(DecodeRequest& request) {
  const std::unique_ptr<heif_context, HeifFree> context(heif_context_alloc());
  if (context == nullptr) request.ThrowBroken("HEIC", "libheif does not start");
  // A side; the number of pixels is checked below.
  heif_context_set_maximum_image_size_limit(context.get(), 65535);
  heif_context_set_max_decoding_threads(context.get(), 0);
  CheckHeif(heif_context_read_from_memory_without_copy(context.get(), request.bytes().data(),
                                                       request.bytes().size(), nullptr),
            request);
  heif_image_handle* raw_handle = nullptr;
  CheckHeif(heif_context_get_primary_image_handle(context.get(), &raw_handle), request);
  const std::unique_ptr<heif_image_handle, HeifFree> handle(raw_handle);
  const Index width = heif_image_handle_get_width(handle.get());
  const Index height = heif_image_handle_get_height(handle.get());
  request.CheckSize(width, height);
  const bool alpha = heif_image_handle_has_alpha_channel(handle.get()) != 0;
  const int bits = heif_image_handle_get_luma_bits_per_pixel(handle.get());
  // The decoder's picture and libheif's, once more when it is turned, and the pixels twice.
  request.TakeMemory(width * height * (12 * (bits > 8 ? 2 : 1) + 8));
  heif_image* raw_image = nullptr;
  CheckHeif(heif_decode_image(handle.get(), &raw_image, heif_colorspace_RGB,
                              alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
                              nullptr),
            request);
  const std::unique_ptr<heif_image, HeifFree> decoded(raw_image);
  int stride = 0;
  const std::uint8_t* plane =
      heif_image_get_plane_readonly(decoded.get(), heif_channel_interleaved, &stride);
  if (plane == nullptr || heif_image_get_width(decoded.get(), heif_channel_interleaved) != width ||
      heif_image_get_height(decoded.get(), heif_channel_interleaved) != height) {
    request.ThrowBroken("HEIC", "its picture has another size than its header");
  }
  Image image = NewImage(alpha ? PixelMode::kRgba : PixelMode::kRgb, width, height);
  const auto row = ToSize(width * BytesPerPixel(image.mode));
  for (Index y = 0; y < height; ++y) {
    std::copy_n(plane + y * stride, row, image.pixels.data() + ToSize(y) * row);
  }
  return image;
}

}  // namespace cliplens
