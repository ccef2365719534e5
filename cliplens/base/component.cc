#include "cliplens/base/component.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

std::optional<int> Number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

std::string HeadName(HeadId id) { return fmt::format("L{}.H{}", id.layer, id.head); }

std::string MlpName(int layer) { return fmt::format("L{}.MLP", layer); }

std::string ComponentName(int number, int layers, int heads) {
  if (number < layers * heads) return HeadName({number / heads, number % heads});
  const int mlp = number - layers * heads;
  return mlp == 0 ? kInputName : MlpName(mlp - 1);
}

std::vector<HeadId> ParseHeads(std::string_view text, int layers, int heads) {
  std::set<HeadId> chosen;
  const auto add_layers = [&](int first, int last) {
    for (int l = first; l <= last; ++l) {
      for (int h = 0; h < heads; ++h) chosen.insert({l, h});
    }
  };
  const auto fail = [&](std::string_view part, std::string_view why) {
    throw Error(ErrorCode::kInvalidArgument,
                "heads '{}': {}; the model has layers L0-L{} with heads H0-H{} each; write L{}.H0, "
                "L0-L{}, last-4 or all, with commas between",
                part, why, layers - 1, heads - 1, layers - 1, layers - 1);
  };
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = Trim(text.substr(begin, end - begin));
    begin = end + 1;
    if (part == "all") {
      add_layers(0, layers - 1);
      continue;
    }
    if (part.starts_with("last-")) {
      const auto count = Number(part.substr(5));
      if (!count || *count < 1) fail(part, "'last-' needs a number of layers");
      if (*count > layers) fail(part, "more layers than the model has");
      add_layers(layers - *count, layers - 1);
      continue;
    }
    if (!part.starts_with('L')) fail(part, "not a head, a layer, last-N or all");
    const std::size_t dot = part.find('.');
    const std::size_t dash = part.find('-');
    if (dot != std::string_view::npos) {
      const auto layer = Number(part.substr(1, dot - 1));
      const std::string_view rest = part.substr(dot + 1);
      const auto head = rest.starts_with('H') ? Number(rest.substr(1)) : std::nullopt;
      if (!layer || !head) fail(part, "not of the form L11.H3");
      if (*layer >= layers || *head >= heads) fail(part, "no such head");
      chosen.insert({*layer, *head});
    } else if (dash != std::string_view::npos) {
      const auto first = Number(part.substr(1, dash - 1));
      const std::string_view rest = part.substr(dash + 1);
      const auto last = Number(rest.starts_with('L') ? rest.substr(1) : rest);
      if (!first || !last) fail(part, "not of the form L9-L11");
      if (*first > *last) fail(part, "the first layer comes after the last");
      if (*last >= layers) fail(part, "no such layer");
      add_layers(*first, *last);
    } else {
      const auto layer = Number(part.substr(1));
      if (!layer) fail(part, "not of the form L11 or L11.H3");
      if (*layer >= layers) fail(part, "no such layer");
      add_layers(*layer, *layer);
    }
  }
  return {chosen.begin(), chosen.end()};
}

}  // namespace cliplens
