#include "cliplens/io/picture_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

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
    {{0, "BM"sv}, PictureFormat::kBmp},
    {{0, "GIF87a"sv}, PictureFormat::kGif},
    {{0, "GIF89a"sv}, PictureFormat::kGif},
    {{0, "II*\0"sv}, PictureFormat::kTiff},
    {{0, "MM\0*"sv}, PictureFormat::kTiff},
    {{0, "II+\0"sv}, PictureFormat::kTiff},  // BigTIFF
    {{0, "MM\0+"sv}, PictureFormat::kTiff},
    {{0, "\0\0\0\x0CjP  \r\n\x87\n"sv}, PictureFormat::kJpeg2000},
    {{0, "\xFF\x4F\xFF\x51"sv}, PictureFormat::kJpeg2000},
};

// Formats that people keep pictures in and that are not read here, and what arrives in the place of
// a picture.
struct OtherSignature : Signature {
  std::string_view name;
};
constexpr OtherSignature kOthers[] = {
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

constexpr std::array kEndings = {"jpg"sv, "jpeg"sv, "jpe"sv, "jfif"sv, "png"sv,  "apng"sv, "webp"sv,
                                 "bmp"sv, "gif"sv,  "tif"sv, "tiff"sv, "avif"sv, "jp2"sv,  "j2k"sv,
                                 "j2c"sv, "jpc"sv,  "jpf"sv, "jpx"sv,  "heic"sv, "heif"sv, "hif"sv};

bool Holds(std::span<const std::uint8_t> bytes, const Signature& wanted) {
  return bytes.size() >= wanted.offset + wanted.bytes.size() &&
         std::memcmp(bytes.data() + wanted.offset, wanted.bytes.data(), wanted.bytes.size()) == 0;
}

// Two letters are not enough: the size of the header that follows must be one of BMP's.
bool OpensBmp(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kHeaders[] = {12, 40, 52, 56, 64, 108, 124};
  return bytes.size() < 18 || (std::ranges::find(kHeaders, bytes[14]) != std::end(kHeaders) &&
                               bytes[15] == 0 && bytes[16] == 0 && bytes[17] == 0);
}

// The kind of a file of the ISO base media format, by its brands: the first is the main one, and
// the brand of containers alone says nothing.
std::optional<PictureFormat> FormatOfBrands(std::span<const std::uint8_t> bytes) {
  if (!Holds(bytes, {4, "ftyp"sv}) || bytes.size() < 16) return std::nullopt;
  const std::size_t size = std::size_t{bytes[0]} << 24 | std::size_t{bytes[1]} << 16 |
                           std::size_t{bytes[2]} << 8 | bytes[3];
  const std::size_t end = std::min(size, bytes.size());
  for (std::size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {  // past the minor version
    const std::string_view brand(reinterpret_cast<const char*>(bytes.data()) + at, 4);
    constexpr std::string_view kHeic[] = {"heic", "heix", "heim", "heis",
                                          "hevc", "hevx", "hevm", "hevs"};
    if (brand == "avif" || brand == "avis") return PictureFormat::kAvif;
    if (std::ranges::find(kHeic, brand) != std::end(kHeic)) return PictureFormat::kHeic;
    if (at == 8 && brand != "mif1" && brand != "msf1") return std::nullopt;
  }
  return std::nullopt;
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
    if (known.format == PictureFormat::kBmp && !OpensBmp(first)) continue;
    return known.format;
  }
  return FormatOfBrands(first);
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
