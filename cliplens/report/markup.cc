#include "cliplens/report/markup.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/table.h"

namespace cliplens {

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = Utf8SequenceLength(text);
    const unsigned char first = static_cast<unsigned char>(text.front());
    // C1 controls are two bytes, C2 80 to C2 9F.
    const bool control =
        (first < 0x20 && first != '\t' && first != '\n') || first == 0x7f ||
        (first == 0xc2 && length == 2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (length == 0 || control) {
      out += "\xef\xbf\xbd";
    } else if (first == '&') {
      out += "&amp;";
    } else if (first == '<') {
      out += "&lt;";
    } else if (first == '>') {
      out += "&gt;";
    } else if (first == '"') {
      out += "&quot;";
    } else if (first == '\'') {
      out += "&#39;";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string EncodeBase64(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::string FormatCount(Index count) {
  std::string digits = fmt::format("{}", count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string FormatFixed(double value, int decimals) {
  std::string digits = FormatNumber(value, decimals);
  return digits.starts_with('-') ? "\u2212" + digits.substr(1) : digits;
}

std::string FormatSigned(double value, int decimals) {
  std::string digits = FormatFixed(value, decimals);
  const bool zero = digits.find_first_not_of("0.") == std::string::npos;
  return value > 0 && !zero ? "+" + digits : digits;
}

std::string FormatScientific(double value) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
  const std::string text = fmt::format("{:.1e}", value);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  return fmt::format("{} \u00d7 10<sup>{}</sup>", text.substr(0, e), FormatFixed(exponent, 0));
}

std::string Counted(Index count, std::string_view noun) {
  return fmt::format("{} {}{}", FormatCount(count), noun, count == 1 ? "" : "s");
}

std::string StaircaseBar(double before, double length) {
  const double start = std::clamp(before, 0.0, 1.0);
  // A share too small to see still gets a mark.
  const double width = std::clamp(length, 0.004, 1.0);
  std::string out =
      "<svg class=\"b\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
  if (start > 0)
    fmt::format_to(std::back_inserter(out), "<path class=\"c\" d=\"M0 0H{:.2f}V1H0z\"/>",
                   100 * start);
  fmt::format_to(std::back_inserter(out),
                 "<path class=\"s\" d=\"M{:.2f} 0H{:.2f}V1H{:.2f}z\"/></svg>",
                 100 * std::min(start, 1 - width), 100 * std::min(start + width, 1.0),
                 100 * std::min(start, 1 - width));
  return out;
}

namespace html {

std::string Name(std::string_view text) { return "<bdi>" + EscapeHtml(text) + "</bdi>"; }

std::string LinkIf(bool linked, const std::string& name) {
  return linked ? fmt::format("<a href=\"#{0}\">{0}</a>", name) : name;
}

std::string Percent(double share) { return FormatFixed(100 * share, 1) + "\u2009%"; }

std::string Bounded(const Estimate& e, double factor, int decimals) {
  return fmt::format("{} <small>{} to {}</small>", FormatFixed(factor * e.value, decimals),
                     FormatFixed(factor * e.low, decimals), FormatFixed(factor * e.high, decimals));
}

}  // namespace html
}  // namespace cliplens
