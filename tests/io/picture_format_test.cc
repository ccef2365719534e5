#include "cliplens/io/picture_format.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace cliplens {
namespace {

using namespace std::literals;  // NOLINT: signatures hold zero bytes

std::span<const std::uint8_t> TextBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(PictureFormatTest, FirstBytesTellTheFormat) {
  EXPECT_EQ(PictureFormatOf(TextBytes("\xFF\xD8\xFF\xE1\0\0"sv)), PictureFormat::kJpeg);
  EXPECT_EQ(PictureFormatOf(TextBytes("\x89PNG\r\n\x1A\n\0\0"sv)), PictureFormat::kPng);
  EXPECT_EQ(PictureFormatOf(TextBytes("RIFF\x24\0\0\0WEBPVP8L"sv)), PictureFormat::kWebp);
  EXPECT_EQ(PictureFormatOf(TextBytes("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"sv)),
            PictureFormat::kBmp);
  EXPECT_EQ(PictureFormatOf(TextBytes("GIF89a\1\0\1\0"sv)), PictureFormat::kGif);
  EXPECT_EQ(PictureFormatOf(TextBytes("II*\0\x08\0\0\0"sv)), PictureFormat::kTiff);
  EXPECT_EQ(PictureFormatOf(TextBytes("MM\0+\0\x08\0\0"sv)), PictureFormat::kTiff);
  EXPECT_EQ(PictureFormatOf(TextBytes("\0\0\0\x0CjP  \r\n\x87\n"sv)), PictureFormat::kJpeg2000);
  EXPECT_EQ(PictureFormatOf(TextBytes("\xFF\x4F\xFF\x51\0\x29"sv)), PictureFormat::kJpeg2000);
  EXPECT_EQ(PictureFormatOf(TextBytes("\0\0\0\x18"
                                      "ftypavif\0\0\0\0mif1miaf"sv)),
            PictureFormat::kAvif);
  EXPECT_EQ(PictureFormatOf(TextBytes("\0\0\0\x18"
                                      "ftypheic\0\0\0\0mif1heic"sv)),
            PictureFormat::kHeic);
  // The brand of a container alone says nothing.
  EXPECT_EQ(PictureFormatOf(TextBytes("\0\0\0\x18"
                                      "ftypmif1\0\0\0\0mif1avif"sv)),
            PictureFormat::kAvif);
  EXPECT_EQ(PictureFormatOf(TextBytes("\0\0\0\x18"
                                      "ftypmif1\0\0\0\0mif1heic"sv)),
            PictureFormat::kHeic);
  EXPECT_FALSE(
      PictureFormatOf(TextBytes("\0\0\0\x18"
                                "ftypisom\0\0\0\0avifheic"sv)));
  for (const std::string_view other :
       {""sv, "\xFF\xD8"sv, "\x89PNG"sv, "RIFF\x24\0\0\0WAVEfmt "sv, "xxxx\x24\0\0\0WEBPVP8L"sv,
        "BMW and other cars, of which there are many"sv, "path,label\n"sv, "\0\0\0\0\0\0\0\0"sv}) {
    EXPECT_FALSE(PictureFormatOf(TextBytes(other))) << other;
  }
}

TEST(PictureFormatTest, WhatIsNoPictureIsNamed) {
  const auto name = [](std::string_view text) { return NameOfOtherFile(TextBytes(text)); };
  EXPECT_EQ(name("<!DOCTYPE html><html><body>Not found"), "a web page (HTML)");
  EXPECT_EQ(name("\xEF\xBB\xBF\r\n  <HTML lang='de'>"), "a web page (HTML)");
  EXPECT_EQ(name("<?xml version='1.0'?>\n<!DOCTYPE x>\n<html xmlns='y'>"), "a web page (HTML)");
  EXPECT_EQ(name("<?xml version='1.0'?>\n<svg>"), "an SVG");
  EXPECT_EQ(name("<?xml version='1.0'?>\n<Error><Code>AccessDenied"), "XML");
  EXPECT_EQ(name("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n"),
            "a Git LFS pointer");
  EXPECT_EQ(name("8BPS\0\1"sv), "a Photoshop picture");
  EXPECT_EQ(name("hello"), "");
  EXPECT_EQ(name(""), "");
}

TEST(PictureFormatTest, EndingsAreThoseOfPictures) {
  for (const char* ending : {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif",
                             "tiff", "avif", "jp2", "j2k", "heic", "heif"}) {
    EXPECT_TRUE(IsPictureEnding(ending)) << ending;
  }
  for (const char* ending : {"", "txt", "tar", "JPG", "jp"}) {
    EXPECT_FALSE(IsPictureEnding(ending)) << ending;
  }
  for (const std::string_view ending : PictureEndings()) EXPECT_TRUE(IsPictureEnding(ending));
}

}  // namespace
}  // namespace cliplens
