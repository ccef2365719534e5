#include "cliplens/io/picture_format.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cliplens/base/error.h"

namespace cliplens {

namespace {

using namespace std::literals;  // NOLINT: signatures hold zero bytes

struct Signature {
  std::size_t offset;
  std::string_view bytes;
};

struct FormatSignature : Signature {
  PictureFormat format;
};
constexpr FormatSignature kFormats[] = {
    {{0, "\xFF\xD8\xFF"sv}, PictureFormat::kJpeg},
    {{0, "\x89PNG\r\n\x1A\n"sv}, PictureFormat::kPng},
    {{8, "WEBP"sv}, PictureFormat::kWebp},
};

// Formats that people keep pictures in and that are not read here, and what arrives in the place of
// a picture.
struct OtherSignature : Signature {
  std::string_view name;
};
constexpr OtherSignature kOthers[] = {
    {{0, "GIF87a"sv}, "a GIF"},
    {{0, "GIF89a"sv}, "a GIF"},
    {{0, "BM"sv}, "a BMP"},
    {{0, "II*\0"sv}, "a TIFF"},
    {{0, "MM\0*"sv}, "a TIFF"},
    {{0, "II+\0"sv}, "a BigTIFF"},
    {{0, "MM\0+"sv}, "a BigTIFF"},
    {{4, "ftypavif"sv}, "an AVIF"},
    {{4, "ftypavis"sv}, "an AVIF"},
    {{4, "ftypheic"sv}, "a HEIC"},
    {{4, "ftypheix"sv}, "a HEIC"},
    {{4, "ftypmif1"sv}, "a HEIF"},
    {{0, "\0\0\0\x0CjP  \r\n"sv}, "a JPEG 2000"},
    {{0, "\xFF\x4F\xFF\x51"sv}, "a JPEG 2000"},
    {{0, "\xFF\x0A"sv}, "a JPEG XL"},
    {{0, "\0\0\0\x0CJXL \r\n"sv}, "a JPEG XL"},
    {{0, "8BPS"sv}, "a Photoshop picture"},
    {{0, "\0\0\1\0"sv}, "an ICO"},
    {{0, "%PDF"sv}, "a PDF"},
    {{0, "<svg"sv}, "an SVG"},
    {{0, "P5"sv}, "a PGM"},
    {{0, "P6"sv}, "a PPM"},
    {{0, "version https://git-lfs"sv}, "a Git LFS pointer"},
    {{0, "PK\3\4"sv}, "a zip archive"},
    {{0, "\x1F\x8B"sv}, "a gzip archive"},
};

constexpr std::array kEndings = {"jpg"sv, "jpeg"sv, "jpe"sv, "jfif"sv, "png"sv, "webp"sv};

bool Holds(std::span<const std::uint8_t> bytes, const Signature& wanted) {
  return bytes.size() >= wanted.offset + wanted.bytes.size() &&
         std::memcmp(bytes.data() + wanted.offset, wanted.bytes.data(), wanted.bytes.size()) == 0;
}

// Whether the text opens with a tag, in any case.
bool OpensWithTag(std::string_view text, std::string_view tag) {
  return text.size() >= tag.size() &&
         std::equal(tag.begin(), tag.end(), text.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
         });
}

// Pages that servers send instead of a picture, and SVG behind an XML declaration.
std::string_view NameOfMarkup(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  text.remove_prefix(begin);
  constexpr std::string_view kPageTags[] = {"<!doctype html", "<html", "<head", "<body", "<title"};
  for (const std::string_view tag : kPageTags) {
    if (OpensWithTag(text, tag)) return "a web page (HTML)";
  }
  const bool xml = OpensWithTag(text, "<?xml") || OpensWithTag(text, "<!--");
  if (xml && text.find("<html") != std::string_view::npos) return "a web page (HTML)";
  if (xml && text.find("<svg") != std::string_view::npos) return "an SVG";
  if (OpensWithTag(text, "<svg")) return "an SVG";
  return OpensWithTag(text, "<?xml") ? "XML" : "";
}

}  // namespace

std::optional<PictureFormat> PictureFormatOf(std::span<const std::uint8_t> first) {
  for (const FormatSignature& known : kFormats) {
    if (!Holds(first, known)) continue;
    if (known.format == PictureFormat::kWebp && !Holds(first, {0, "RIFF"sv})) continue;
    return known.format;
  }
  return std::nullopt;
}

const char* NameOf(PictureFormat format) {
  switch (format) {
    case PictureFormat::kJpeg:
      return "JPEG";
    case PictureFormat::kPng:
      return "PNG";
    case PictureFormat::kWebp:
      return "WebP";
  }
  throw Error(ErrorCode::kInternal, "picture format {} is unknown", static_cast<int>(format));
}

std::string_view NameOfOtherFile(std::span<const std::uint8_t> first) {
  for (const OtherSignature& other : kOthers) {
    if (Holds(first, other)) return other.name;
  }
  first = first.first(std::min(first.size(), kPictureFormatBytes));
  return NameOfMarkup({reinterpret_cast<const char*>(first.data()), first.size()});
}

std::span<const std::string_view> PictureEndings() { return kEndings; }

bool IsPictureEnding(std::string_view lower) {
  return std::ranges::find(kEndings, lower) != kEndings.end();
}

}  // namespace cliplens
