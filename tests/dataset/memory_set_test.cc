#include "cliplens/dataset/memory_set.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// Pictures of one colour each, without files.
class Colours : public ImageSet {
 public:
  explicit Colours(std::string root) : root_(std::move(root)) {}
  Index size() const override { return 3; }
  Item item(Index i) const override {
    Item item;
    item.path = std::to_string(i);
    return item;
  }
  std::vector<std::uint8_t> Read(Index i) const override { return EncodePng(*Pixels(i, {})); }
  std::optional<Image> Pixels(Index i, const DecodeOptions& options) const override {
    Image image = NewImage(PixelMode::kRgb, 4, 2);
    if (options.check_size) options.check_size(image.width, image.height);
    for (auto& sample : image.pixels) sample = static_cast<std::uint8_t>(50 * i);
    return image;
  }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return std::nullopt; }
  std::string kind() const override { return "memory"; }
  std::string root() const override { return root_; }

 private:
  std::string root_;
};

TEST(NamedImageSet, IsOpenedByItsRootAsLongAsItLives) {
  {
    const NamedImageSet named("memory:colours", std::make_shared<Colours>("memory:colours"));
    const auto set = OpenImageSet("memory:colours");
    EXPECT_EQ(set->size(), 3);
    EXPECT_EQ(set->root(), "memory:colours");
    EXPECT_EQ(DecodePicture(*set, 2, "2").pixels, std::vector<std::uint8_t>(24, 100));
    EXPECT_EQ(DecodeImage(set->Read(1), "1").pixels, std::vector<std::uint8_t>(24, 50));
    ExpectError(ErrorCode::kPrecondition, "memory:colours", [] {
      const NamedImageSet second("memory:colours", std::make_shared<Colours>("memory:colours"));
    });
    EXPECT_EQ(OpenImageSet("memory:colours")->size(), 3);  // the first one's name is still its own
  }
  ExpectError(ErrorCode::kNotFound, "memory:colours", [] { OpenImageSet("memory:colours"); });
}

TEST(NamedImageSet, ChecksTheSizeBeforeThePictureIsUsed) {
  const NamedImageSet named("memory:sizes", std::make_shared<Colours>("memory:sizes"));
  Index seen = 0;
  DecodePicture(*OpenImageSet("memory:sizes"), 0, "0",
                {.check_size = [&](Index width, Index height) { seen = width * height; }});
  EXPECT_EQ(seen, 8);
}

TEST(NamedImageSet, RefusesARootThatCouldBeAFile) {
  ExpectError(ErrorCode::kInvalidArgument, "colours",
              [] { const NamedImageSet named("colours", std::make_shared<Colours>("colours")); });
}

}  // namespace
}  // namespace cliplens
