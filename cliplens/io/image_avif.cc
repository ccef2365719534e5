// AVIF through libavif, with Pillow's settings: the first picture, rotation and mirroring left
// alone.
#include <memory>

#include <avif/avif.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

struct AvifDecoderDestroy {
  void operator()(avifDecoder* decoder) const { avifDecoderDestroy(decoder); }
};

// What AVIF's properties `irot` and `imir` do, as EXIF numbers it.
int OrientationOfAvif(const avifImage& image) {
  const bool turned = (image.transformFlags & AVIF_TRANSFORM_IROT) != 0;
  const bool mirrored = (image.transformFlags & AVIF_TRANSFORM_IMIR) != 0;
  const int quarters = turned ? image.irot.angle & 3 : 0;  // anticlockwise
  constexpr int kTurned[] = {1, 8, 3, 6};
  // Mirrored top to bottom (mode 0) or left to right (mode 1) after the turn.
  constexpr int kTopToBottom[] = {4, 5, 2, 7};
  constexpr int kLeftToRight[] = {2, 7, 4, 5};
  if (!mirrored) return kTurned[quarters];
  return (image.imir.mode != 0 ? kLeftToRight : kTopToBottom)[quarters];
}

void CheckAvif(avifResult result, const internal::DecodeRequest& request) {
  switch (result) {
    case AVIF_RESULT_OK:
      return;
    case AVIF_RESULT_TRUNCATED_DATA:
      request.ThrowCutOff("AVIF");
    case AVIF_RESULT_NOT_IMPLEMENTED:
    case AVIF_RESULT_UNSUPPORTED_DEPTH:
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
      request.ThrowNotRead("AVIF", avifResultToString(result));
    case AVIF_RESULT_OUT_OF_MEMORY:
      throw Error(ErrorCode::kExhausted,
                  "{}: no memory is left for the AVIF; make the picture smaller", request.name());
    default:
      request.ThrowBroken("AVIF", avifResultToString(result));
  }
}

}  // namespace

Image internal::DecodeAvif(DecodeRequest& request) {
  const std::unique_ptr<avifDecoder, AvifDecoderDestroy> decoder(avifDecoderCreate());
  if (decoder == nullptr) CheckAvif(AVIF_RESULT_OUT_OF_MEMORY, request);
  decoder->maxThreads = 1;
  decoder->ignoreExif = AVIF_TRUE;
  decoder->ignoreXMP = AVIF_TRUE;
  decoder->imageSizeLimit = static_cast<std::uint32_t>(kMaxPixels);
  decoder->imageDimensionLimit = 0;
  decoder->strictFlags &= ~static_cast<avifStrictFlags>(AVIF_STRICT_CLAP_VALID);
  decoder->strictFlags &= ~static_cast<avifStrictFlags>(AVIF_STRICT_PIXI_REQUIRED);
  CheckAvif(avifDecoderSetIOMemory(decoder.get(), request.bytes().data(), request.bytes().size()),
            request);
  CheckAvif(avifDecoderParse(decoder.get()), request);
  const avifImage& picture = *decoder->image;
  const int orientation = OrientationOfAvif(picture);
  const Index width = picture.width;
  const Index height = picture.height;
  request.CheckSize(width, height, orientation);
  // The decoder's picture, libavif's copy with alpha, and the pixels.
  const Index sample = picture.depth > 8 ? 2 : 1;
  request.TakeMemory(width * height * (8 * sample + 4));
  CheckAvif(avifDecoderNextImage(decoder.get()), request);
  if (Index{picture.width} != width || Index{picture.height} != height) {
    request.ThrowBroken("AVIF", "its picture has another size than its header");
  }

  const bool alpha = decoder->alphaPresent != AVIF_FALSE;
  const bool gray = !alpha && picture.yuvFormat == AVIF_PIXEL_FORMAT_YUV400;
  Image image = NewImage(alpha ? PixelMode::kRgba : PixelMode::kRgb, width, height);
  image.orientation = orientation;
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, &picture);
  rgb.depth = 8;
  rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  rgb.pixels = image.pixels.data();
  rgb.rowBytes = static_cast<std::uint32_t>(width * BytesPerPixel(image.mode));
  CheckAvif(avifImageYUVToRGB(&picture, &rgb), request);
  if (!gray) return image;
  // All three are equal; Pillow opens such a picture as grey.
  image.mode = PixelMode::kGray;
  for (std::size_t i = 0; i < image.pixels.size() / 3; ++i) image.pixels[i] = image.pixels[3 * i];
  image.pixels.resize(image.pixels.size() / 3);
  return image;
}

}  // namespace cliplens
