#include "cliplens/io/image.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/pixel_fixture.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes BytesOf(const std::string& text) { return {text.begin(), text.end()}; }

void AppendBigEndian(std::uint32_t value, Bytes* out) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void AppendChunk(const std::string& kind, const Bytes& body, Bytes* out) {
  AppendBigEndian(static_cast<std::uint32_t>(body.size()), out);
  Bytes checked = BytesOf(kind);
  checked.insert(checked.end(), body.begin(), body.end());
  out->insert(out->end(), checked.begin(), checked.end());
  AppendBigEndian(Crc32(checked), out);
}

// A PNG whose header claims these sizes, with a few bytes of pixels.
Bytes PngThatClaims(std::uint32_t width, std::uint32_t height, std::size_t pixel_bytes = 40) {
  Bytes png = BytesOf("\x89PNG\r\n\x1A\n");
  Bytes header;
  AppendBigEndian(width, &header);
  AppendBigEndian(height, &header);
  header.insert(header.end(), {8, 2, 0, 0, 0});
  AppendChunk("IHDR", header, &png);
  AppendChunk("IDAT", Bytes(pixel_bytes), &png);
  AppendChunk("IEND", {}, &png);
  return png;
}

// Writes the height and width of a JPEG's frame header anew.
Bytes JpegThatClaims(Bytes jpeg, int width, int height) {
  for (std::size_t at = 2; at + 9 < jpeg.size();) {
    if (jpeg[at] == 0xFF && jpeg[at + 1] >= 0xC0 && jpeg[at + 1] <= 0xC2) {
      jpeg[at + 5] = static_cast<std::uint8_t>(height >> 8);
      jpeg[at + 6] = static_cast<std::uint8_t>(height);
      jpeg[at + 7] = static_cast<std::uint8_t>(width >> 8);
      jpeg[at + 8] = static_cast<std::uint8_t>(width);
      return jpeg;
    }
    at += 2u + (std::size_t{jpeg[at + 2]} << 8) + jpeg[at + 3];
  }
  return jpeg;
}

Image MakeImage(PixelMode mode, Index width, Index height, Bytes pixels) {
  Image image;
  image.mode = mode;
  image.width = width;
  image.height = height;
  image.pixels = std::move(pixels);
  return image;
}

// A smooth picture, so that lossy formats keep it closely.
Image Smooth(PixelMode mode, Index width, Index height) {
  Image image = MakeImage(mode, width, height, {});
  const Index channels = BytesPerPixel(mode);
  for (Index y = 0; y < height; ++y) {
    for (Index x = 0; x < width; ++x) {
      for (Index c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<std::uint8_t>(40 + 2 * x + (c + 1) * y));
      }
    }
  }
  return image;
}

int LargestDifference(const Bytes& a, const Bytes& b) {
  EXPECT_EQ(a.size(), b.size());
  int largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(int{a[i]} - int{b[i]}));
  }
  return largest;
}

TEST(ImageTest, PixelsEqualPillows) {
  std::size_t count = 0;
  for (const Json& entry : PixelExpectations()["pictures"]) {
    const std::string file = entry["file"];
    SCOPED_TRACE(file);
    const Image image = DecodeImage(ReadPixelFile(file), file);
    EXPECT_EQ(entry["mode"], NameOf(image.mode));
    EXPECT_EQ(entry["width"], image.width);
    EXPECT_EQ(entry["height"], image.height);
    EXPECT_EQ(entry["pixels"], Crc32(image.pixels));
    EXPECT_EQ(entry["rgb"], Crc32(ConvertToRgb(image).pixels));
    ++count;
  }
  EXPECT_GT(count, 50u);
}

TEST(ImageTest, ConvertToRgbFollowsPillow) {
  EXPECT_EQ(ConvertToRgb(MakeImage(PixelMode::kGray, 2, 1, {0, 200})).pixels,
            Bytes({0, 0, 0, 200, 200, 200}));
  EXPECT_EQ(ConvertToRgb(MakeImage(PixelMode::kGrayAlpha, 2, 1, {7, 0, 9, 255})).pixels,
            Bytes({7, 7, 7, 9, 9, 9}));
  EXPECT_EQ(ConvertToRgb(MakeImage(PixelMode::kRgba, 1, 1, {1, 2, 3, 0})).pixels, Bytes({1, 2, 3}));
  EXPECT_EQ(ConvertToRgb(MakeImage(PixelMode::kBilevel, 2, 1, {0, 1})).pixels,
            Bytes({0, 0, 0, 255, 255, 255}));
  // No ink is white, full black is black; 255 - 55 = 200, 200 - round(100 * 200 / 255) = 122.
  EXPECT_EQ(
      ConvertToRgb(MakeImage(PixelMode::kCmyk, 3, 1, {0, 0, 0, 0, 9, 8, 7, 255, 100, 0, 255, 55}))
          .pixels,
      Bytes({255, 255, 255, 0, 0, 0, 122, 200, 0}));
  const std::uint16_t samples[] = {3, 255, 256, 65535};
  Bytes wide(sizeof(samples));
  std::memcpy(wide.data(), samples, sizeof(samples));
  EXPECT_EQ(ConvertToRgb(MakeImage(PixelMode::kGray16, 4, 1, wide)).pixels,
            Bytes({3, 3, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255}));
  Image indexed = MakeImage(PixelMode::kPalette, 2, 1, {1, 250});
  indexed.palette.assign(1024, 0);
  indexed.palette[4] = 11;
  indexed.palette[5] = 12;
  indexed.palette[6] = 13;
  EXPECT_EQ(ConvertToRgb(indexed).pixels, Bytes({11, 12, 13, 0, 0, 0}));
}

TEST(ImageTest, MalformedPicturesAreRefused) {
  const auto refused = [](const std::string& words, const Image& image) {
    ExpectError(ErrorCode::kInvalidArgument, words, [&] { ConvertToRgb(image); });
    ExpectError(ErrorCode::kInvalidArgument, words, [&] { EncodePng(image); });
    ExpectError(ErrorCode::kInvalidArgument, words, [&] { EncodeJpeg(image, 90); });
    ExpectError(ErrorCode::kInvalidArgument, words, [&] { EncodeWebp(image, 90); });
  };
  refused("12 bytes are needed, 11 are there", MakeImage(PixelMode::kRgb, 2, 2, Bytes(11)));
  refused("0 x 2 pixels", MakeImage(PixelMode::kRgb, 0, 2, {}));
  refused("-1 x 2 pixels", MakeImage(PixelMode::kGray, -1, 2, {}));
  refused("pixels are allowed",
          MakeImage(PixelMode::kGray, Index{1} << 40, Index{1} << 40, Bytes(1)));
  refused("1024 palette bytes", MakeImage(PixelMode::kPalette, 1, 1, {0}));
}

TEST(ImageTest, OtherFormatsAreNamed) {
  const auto refused = [](const std::string& words, const std::string& bytes) {
    ExpectError(ErrorCode::kUnsupported, words, [&] { DecodeImage(BytesOf(bytes), "x"); });
  };
  refused("x: the file is a Photoshop picture, pictures are read in JPEG, PNG", "8BPS1234");
  refused("convert it to PNG", "8BPS1234");
  refused("is a web page (HTML)", "<!DOCTYPE html><html>");
  refused("fetch the picture from its own address", "<!DOCTYPE html><html>");
  refused("is a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  refused("git lfs pull", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  refused("opens with the bytes 68 65 6c 6c 6f", "hello");
  ExpectError(ErrorCode::kCorruptData, "empty", [] { DecodeImage({}, "x"); });
}

TEST(ImageTest, SizesAreCheckedBeforeMemoryIsTaken) {
  const auto refused = [](ErrorCode code, const std::string& words, const Bytes& bytes) {
    ExpectError(code, words, [&] { DecodeImage(bytes, "x"); });
  };
  refused(ErrorCode::kExhausted, "60000 x 60000 pixels, the limit is 178956970",
          PngThatClaims(60000, 60000, 200'000));
  refused(ErrorCode::kExhausted, "2147483647 x 2147483647", PngThatClaims(0x7FFFFFFF, 0x7FFFFFFF));
  refused(ErrorCode::kCorruptData, "the file's 97 bytes cannot hold them",
          PngThatClaims(13000, 13000));
  refused(ErrorCode::kCorruptData, "PNG is broken", PngThatClaims(0, 5));
  const Bytes jpeg = EncodeJpeg(Smooth(PixelMode::kRgb, 16, 16), 90);
  refused(ErrorCode::kExhausted, "65000 x 65000", JpegThatClaims(jpeg, 65000, 65000));
  refused(ErrorCode::kCorruptData, "JPEG is broken", JpegThatClaims(jpeg, 0, 16));
  // VP8X: 16,777,216 x 16,777,216 pixels.
  Bytes webp = BytesOf(std::string("RIFF\x16\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0", 24));
  webp.insert(webp.end(), 6, 0xFF);
  EXPECT_THROW(DecodeImage(webp, "x"), Error);
}

TEST(ImageTest, ChecksumsBeforeThePixelsOfAPngAreChecked) {
  const Bytes png = EncodePng(Smooth(PixelMode::kRgb, 20, 10));
  const Image whole = DecodeImage(png, "x");
  Bytes broken = png;
  broken[8 + 8 + 3] ^= 1;  // the width, under the checksum of IHDR
  ExpectError(ErrorCode::kCorruptData, "CRC error", [&] { DecodeImage(broken, "x"); });
  // That of the pixels, before the end chunk, is passed over as Pillow passes over it.
  broken = png;
  broken[broken.size() - 12 - 4] ^= 1;
  EXPECT_EQ(DecodeImage(broken, "x").pixels, whole.pixels);
}

TEST(ImageTest, FilesThatEndTooEarlyAreRefused) {
  const char* const names[] = {"jpeg-420-63x129.jpg",   "jpeg-progressive-63x129.jpg",
                               "png-8-2-9x33.png",      "png-8-3-9x33-interlaced.png",
                               "webp-lossy-17x13.webp", "webp-alpha-lossless-17x13.webp"};
  for (const char* name : names) {
    SCOPED_TRACE(name);
    const Bytes whole = ReadPixelFile(name);
    // A PNG's last 12 bytes are the end chunk, which is not needed; a JPEG needs its last pixels.
    for (std::size_t size = 0; size + 40 < whole.size(); size += 1 + size / 16) {
      SCOPED_TRACE(size);
      const std::span<const std::uint8_t> part(whole.data(), size);
      ExpectError(ErrorCode::kCorruptData, name, [&] { DecodeImage(part, name); });
    }
  }
}

TEST(ImageTest, BrokenFilesThrowOrDecode) {
  std::mt19937 random(5);
  for (const Json& entry : PixelExpectations()["pictures"]) {
    const std::string file = entry["file"];
    SCOPED_TRACE(file);
    const Bytes whole = ReadPixelFile(file);
    for (int trial = 0; trial < 20; ++trial) {
      Bytes bytes = whole;
      for (int k = 0; k <= trial / 4; ++k) {
        bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
      }
      try {
        CheckImage(DecodeImage(bytes, file));
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
        EXPECT_NE(error.code(), ErrorCode::kInvalidArgument) << error.what();
      }
    }
  }
}

TEST(ImageTest, EndlessScansAreRefused) {
  // A progressive file whose scans are repeated costs a pass over the picture for each.
  const Bytes whole = ReadPixelFile("jpeg-progressive-63x129.jpg");
  std::size_t last = whole.size() - 2;
  while (!(whole[last] == 0xFF && whole[last + 1] == 0xDA)) --last;
  Bytes bytes(whole.begin(), whole.end() - 2);
  for (int i = 0; i < 600; ++i) {
    bytes.insert(bytes.end(), whole.begin() + static_cast<std::ptrdiff_t>(last), whole.end() - 2);
  }
  bytes.insert(bytes.end(), {0xFF, 0xD9});
  ExpectError(ErrorCode::kCorruptData, "more than 500 scans", [&] { DecodeImage(bytes, "x"); });
}

TEST(ImageTest, PngKeepsEveryPixel) {
  for (const PixelMode mode :
       {PixelMode::kGray, PixelMode::kGrayAlpha, PixelMode::kRgb, PixelMode::kRgba}) {
    for (const auto& [width, height] : {std::pair<Index, Index>{1, 1}, {37, 21}, {300, 2}}) {
      const Image image = Smooth(mode, width, height);
      const Image again = DecodeImage(EncodePng(image), "x");
      EXPECT_EQ(again.mode, mode);
      EXPECT_EQ(again.width, width);
      EXPECT_EQ(again.height, height);
      EXPECT_EQ(again.pixels, image.pixels);
    }
  }
  const Image ink = Smooth(PixelMode::kCmyk, 5, 4);
  EXPECT_EQ(DecodeImage(EncodePng(ink), "x").pixels, ConvertToRgb(ink).pixels);
}

TEST(ImageTest, LossyFormatsKeepSmoothPicturesClosely) {
  const Image rgb = Smooth(PixelMode::kRgb, 40, 30);
  EXPECT_LE(LargestDifference(DecodeImage(EncodeJpeg(rgb, 95), "x").pixels, rgb.pixels), 12);
  EXPECT_LE(LargestDifference(DecodeImage(EncodeWebp(rgb, 95), "x").pixels, rgb.pixels), 12);
  const Image gray = DecodeImage(EncodeJpeg(Smooth(PixelMode::kGray, 40, 30), 95), "x");
  EXPECT_EQ(gray.mode, PixelMode::kGray);
  EXPECT_LE(LargestDifference(gray.pixels, Smooth(PixelMode::kGray, 40, 30).pixels), 4);
  EXPECT_EQ(DecodeImage(EncodeWebp(Smooth(PixelMode::kRgba, 40, 30), 95), "x").mode,
            PixelMode::kRgba);
  EXPECT_LT(EncodeJpeg(rgb, 10).size(), EncodeJpeg(rgb, 95).size());
  EXPECT_LT(EncodeWebp(rgb, 10).size(), EncodeWebp(rgb, 95).size());
}

TEST(ImageTest, WhatAFormatCannotHoldIsRefused) {
  const Image rgb = Smooth(PixelMode::kRgb, 4, 4);
  ExpectError(ErrorCode::kInvalidArgument, "quality 101", [&] { EncodeJpeg(rgb, 101); });
  ExpectError(ErrorCode::kInvalidArgument, "quality -1", [&] { EncodeWebp(rgb, -1); });
  const Image wide = MakeImage(PixelMode::kGray, 1'000'001, 1, Bytes(1'000'001));
  ExpectError(ErrorCode::kUnsupported, "at most 65500 a side", [&] { EncodeJpeg(wide, 90); });
  ExpectError(ErrorCode::kUnsupported, "at most 16383 a side", [&] { EncodeWebp(wide, 90); });
  ExpectError(ErrorCode::kUnsupported, "at most 1000000 a side", [&] { EncodePng(wide); });
}

}  // namespace
}  // namespace cliplens
