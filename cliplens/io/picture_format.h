// Which files are pictures: by their first bytes, and by the ending of their name.
//
//   IsPictureEnding("jfif");                            // true
//   PictureFormatOf(first_bytes);                       // PictureFormat::kJpeg, or nothing
//   if (PictureFormatOf(first_bytes)) Read(path);       // a file whose name has no ending
//
// What a file holds is always told by its bytes; endings only choose among the files of a folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cliplens {

// The formats that DecodeImage reads.
enum class PictureFormat { kJpeg, kPng, kWebp };

// As many first bytes of a file as tell its format.
inline constexpr std::size_t kPictureFormatBytes = 256;

// The format of a file that begins with these bytes, all of them or the first kPictureFormatBytes;
// nothing if it is no picture that is read.
std::optional<PictureFormat> PictureFormatOf(std::span<const std::uint8_t> first);

// "JPEG"
const char* NameOf(PictureFormat format);

// What a file is that is no picture, or one that is not read, for messages: "a web page (HTML)";
// empty if unknown.
std::string_view NameOfOtherFile(std::span<const std::uint8_t> first);

// Endings in lower case, without the dot.
std::span<const std::string_view> PictureEndings();
bool IsPictureEnding(std::string_view lower);

// For messages.
inline constexpr const char* kPictureEndingsText = ".jpg, .jpeg, .png or .webp";
inline constexpr const char* kPictureFormatsText = "JPEG, PNG and WebP";

}  // namespace cliplens
