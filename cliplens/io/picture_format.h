// Which files are pictures: by their first bytes, and by the ending of their name.
//
//   Print(IsPictureEnding("jfif"));   // true
//   const MappedFile file("cat");     // a name without an ending
//   if (PictureFormatOf(file.bytes())) Use(DecodeImage(file.bytes(), "cat"));
//
// The bytes decide what a file holds; endings only choose among the files of a folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cliplens {

// The formats that DecodeImage reads.
enum class PictureFormat { kAvif, kBmp, kGif, kHeic, kJpeg, kJpeg2000, kPng, kTiff, kWebp };

// The number of first bytes that tell a file's format.
inline constexpr std::size_t kPictureFormatBytes = 256;

// The format of a file that begins with these bytes, all of them or the first kPictureFormatBytes;
// nothing if it is no picture that is read.
std::optional<PictureFormat> PictureFormatOf(std::span<const std::uint8_t> first);

// For messages: what a file is that DecodeImage does not read, such as "a web page (HTML)"; empty
// if unknown.
std::string_view NameOfOtherFile(std::span<const std::uint8_t> first);

// Endings in lower case, without the dot.
std::span<const std::string_view> PictureEndings();
bool IsPictureEnding(std::string_view lower);

// For messages.
inline constexpr const char* kPictureEndingsText =
    ".jpg, .png, .webp, .bmp, .gif, .tif, .avif, .jp2 or .heic";
inline constexpr const char* kPictureFormatsText =
    "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000 and HEIC";

}  // namespace cliplens
