// CIELAB to sRGB through Little CMS, with the profiles and the intent that Pillow takes.
#include <algorithm>
#include <memory>
#include <new>

#include <lcms2.h>

#include "cliplens/io/image_codecs.h"

namespace cliplens {
namespace {

struct LcmsClose {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct LcmsDelete {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};

}  // namespace

void internal::LabToRgb(std::span<const std::uint8_t> lab, std::span<std::uint8_t> rgb) {
  const std::unique_ptr<void, LcmsClose> from(cmsCreateLab2Profile(nullptr));
  const std::unique_ptr<void, LcmsClose> to(cmsCreate_sRGBProfile());
  if (from == nullptr || to == nullptr) throw std::bad_alloc();
  const std::unique_ptr<void, LcmsDelete> transform(cmsCreateTransform(
      from.get(), TYPE_LabV2_8, to.get(), TYPE_RGB_8, INTENT_PERCEPTUAL, cmsFLAGS_NOCACHE));
  if (transform == nullptr) throw std::bad_alloc();
  // In pieces, as its counts have 32 bits.
  constexpr std::size_t kPixels = std::size_t{1} << 20;
  for (std::size_t at = 0; at < lab.size(); at += 3 * kPixels) {
    const std::size_t count = std::min(kPixels, (lab.size() - at) / 3);
    cmsDoTransform(transform.get(), lab.data() + at, rgb.data() + at,
                   static_cast<cmsUInt32Number>(count));
  }
}

}  // namespace cliplens
