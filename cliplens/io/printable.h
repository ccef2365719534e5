// Text from files, made fit for a message of one line.
//
//   Print(Printable("a\nb"));         // a\x0ab
//   Print(FindInvalidUtf8("\xFF"));   // 0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cliplens {

// `text` with control characters and bytes that are not UTF-8 written as \xNN and hidden marks as
// \uNNNN, cut to at most `max_bytes` bytes with "..." at the end where something was left off.
std::string Printable(std::string_view text, std::size_t max_bytes = 160);

// A path as messages quote it.
std::string PathText(const std::filesystem::path& path);

// The length in bytes of the UTF-8 sequence at the start of `text`, 0 if there is none: overlong
// forms, surrogates and code points above U+10FFFF do not count as UTF-8.
std::size_t Utf8SequenceLength(std::string_view text);

// The offset of the first byte that is not UTF-8, or npos.
std::size_t FindInvalidUtf8(std::string_view text);

}  // namespace cliplens
