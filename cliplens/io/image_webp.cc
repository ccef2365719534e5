// WebP through libwebp: lossy and lossless pictures, with and without alpha; the first picture of
// an animation.
#include <algorithm>
#include <cstring>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>

#include "cliplens/base/error.h"
#include "cliplens/io/image_codecs.h"

namespace cliplens {

namespace {

constexpr Index kMaxWebpSide = WEBP_MAX_DIMENSION;

struct DemuxerDelete {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
struct AnimationDelete {
  void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
};
struct WebpFree {
  void operator()(std::uint8_t* bytes) const { WebPFree(bytes); }
};

// The orientation of the chunk "EXIF", else of "XMP ".
int OrientationInWebp(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk;
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0) {
    std::span<const std::uint8_t> exif(chunk.chunk.bytes, chunk.chunk.size);
    if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0) exif = exif.subspan(6);
    orientation = internal::OrientationOfExif(exif);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  if (orientation == 1 && WebPDemuxGetChunk(demuxer, "XMP ", 1, &chunk) != 0) {
    orientation = internal::OrientationOfXmp(
        {reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size});
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  return orientation;
}

}  // namespace

namespace internal {

int OrientationOfWebp(std::span<const std::uint8_t> bytes) {
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPDemuxer, DemuxerDelete> demuxer(WebPDemux(&data));
  return demuxer == nullptr ? 1 : OrientationInWebp(demuxer.get());
}

Image DecodeWebp(DecodeRequest& request) {
  const std::span<const std::uint8_t> bytes = request.bytes();
  const auto broken = [&]() {
    throw Error(ErrorCode::kCorruptData,
                "{}: the WebP of {} bytes is cut off or broken; fetch it again", request.name(),
                bytes.size());
  };
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) {
    broken();
  }
  // The demuxer reads the container only. It refuses files that end too early or whose parts do not
  // fit together, as Pillow does.
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPDemuxer, DemuxerDelete> demuxer(WebPDemux(&data));
  if (demuxer == nullptr) {
    request.CheckSize(features.width, features.height);
    broken();
  }
  const int orientation = OrientationInWebp(demuxer.get());
  request.CheckSize(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                    WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), orientation);
  // The pixels; the decoder of lossless pictures has them again in four bytes, and an animation has
  // two more canvases.
  const Index count = Index{features.width} * features.height;
  const bool lossy = features.format == 1 && features.has_alpha == 0;
  request.TakeMemory(count * ((features.has_alpha != 0 ? 4 : 3) + (lossy ? 0 : 4) +
                              (features.has_animation != 0 ? 8 : 0)));
  Image image = NewImage(features.has_alpha != 0 ? PixelMode::kRgba : PixelMode::kRgb,
                         features.width, features.height);
  image.orientation = orientation;
  const Index channels = BytesPerPixel(image.mode);
  const int stride = static_cast<int>(image.width * channels);
  if (features.has_animation == 0) {
    const auto decode = image.mode == PixelMode::kRgba ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    if (decode(bytes.data(), bytes.size(), image.pixels.data(), image.pixels.size(), stride) ==
        nullptr) {
      broken();
    }
    return image;
  }
  const std::unique_ptr<WebPAnimDecoder, AnimationDelete> decoder(
      WebPAnimDecoderNew(&data, nullptr));
  std::uint8_t* canvas = nullptr;  // RGBA, owned by the decoder
  int timestamp = 0;
  WebPAnimInfo info;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      Index{info.canvas_width} != image.width || Index{info.canvas_height} != image.height ||
      WebPAnimDecoderGetNext(decoder.get(), &canvas, &timestamp) == 0) {
    broken();
  }
  std::uint8_t* out = image.pixels.data();
  for (Index i = 0; i < count; ++i) std::copy_n(canvas + 4 * i, channels, out + channels * i);
  return image;
}

}  // namespace internal

std::vector<std::uint8_t> EncodeWebp(const Image& image, int quality) {
  CheckImage(image);
  if (quality < 0 || quality > 100) {
    throw Error(ErrorCode::kInvalidArgument, "WebP quality {}: 0 to 100 is allowed", quality);
  }
  if (image.width > kMaxWebpSide || image.height > kMaxWebpSide) {
    throw Error(ErrorCode::kUnsupported,
                "picture of {} x {} pixels: a WebP holds at most {} a side; write a PNG",
                image.width, image.height, kMaxWebpSide);
  }
  if (image.mode != PixelMode::kRgb && image.mode != PixelMode::kRgba) {
    return EncodeWebp(ConvertToRgb(image), quality);
  }
  const auto encode = image.mode == PixelMode::kRgba ? WebPEncodeRGBA : WebPEncodeRGB;
  std::uint8_t* data = nullptr;
  const std::size_t size =
      encode(image.pixels.data(), static_cast<int>(image.width), static_cast<int>(image.height),
             static_cast<int>(image.width * BytesPerPixel(image.mode)), static_cast<float>(quality),
             &data);
  const std::unique_ptr<std::uint8_t, WebpFree> owner(data);
  if (size == 0) {
    throw Error(ErrorCode::kExhausted, "picture of {} x {} pixels: libwebp could not write it",
                image.width, image.height);
  }
  return {data, data + size};
}

}  // namespace cliplens
