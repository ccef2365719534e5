#include "cliplens/base/component.h"

#include <algorithm>
#include <set>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"

namespace cliplens {
namespace {

using Kind = ComponentId::Kind;

constexpr char kInput[] = "INPUT";
constexpr char kMlp[] = "MLP";
constexpr char kPoolMlp[] = "POOL.MLP";

std::optional<int> Number(std::string_view text) {
  const std::optional<int> value = ParseNumber<int>(text);
  return value && *value >= 0 ? value : std::nullopt;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Calls `use` for each part between commas, without the blanks around it.
template <typename Use>
void ForEachPart(std::string_view text, const Use& use) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    use(Trim(text.substr(begin, end - begin)));
    begin = end + 1;
  }
}

// Reads one part: a head, or layers.
class HeadParser {
 public:
  HeadParser(int layers, int heads) : layers_(layers), heads_(heads) {}

  void Add(std::string_view part) {
    if (part == "all") return AddLayers(0, layers_ - 1);
    if (part.starts_with("last-")) return AddLast(part);
    if (!part.starts_with('L')) Fail(part, "not a head, a layer, last-N or all");
    if (part.find('.') != std::string_view::npos) return AddHead(part);
    if (part.find('-') != std::string_view::npos) return AddRange(part);
    const auto layer = Number(part.substr(1));
    if (!layer) Fail(part, "not of the form L11 or L11.H3");
    if (*layer >= layers_) Fail(part, "no such layer");
    AddLayers(*layer, *layer);
  }

  std::vector<HeadId> heads() const { return {chosen_.begin(), chosen_.end()}; }

 private:
  void AddLayers(int first, int last) {
    for (int l = first; l <= last; ++l) {
      for (int h = 0; h < heads_; ++h) chosen_.insert({l, h});
    }
  }

  void AddLast(std::string_view part) {
    const auto count = Number(part.substr(5));
    if (!count || *count < 1) Fail(part, "'last-' needs a number of layers");
    if (*count > layers_) Fail(part, "more layers than the model has");
    AddLayers(layers_ - *count, layers_ - 1);
  }

  void AddHead(std::string_view part) {
    const std::size_t dot = part.find('.');
    const auto layer = Number(part.substr(1, dot - 1));
    const std::string_view rest = part.substr(dot + 1);
    const auto head = rest.starts_with('H') ? Number(rest.substr(1)) : std::nullopt;
    if (!layer || !head) Fail(part, "not of the form L11.H3");
    if (*layer >= layers_ || *head >= heads_) Fail(part, "no such head");
    chosen_.insert({*layer, *head});
  }

  void AddRange(std::string_view part) {
    const std::size_t dash = part.find('-');
    const auto first = Number(part.substr(1, dash - 1));
    const std::string_view rest = part.substr(dash + 1);
    const auto last = Number(rest.starts_with('L') ? rest.substr(1) : rest);
    if (!first || !last) Fail(part, "not of the form L9-L11");
    if (*first > *last) Fail(part, "the first layer comes after the last");
    if (*last >= layers_) Fail(part, "no such layer");
    AddLayers(*first, *last);
  }

  [[noreturn]] void Fail(std::string_view part, std::string_view why) const {
    throw Error(ErrorCode::kInvalidArgument,
                "heads '{}': {}; the model has layers L0-L{} with heads H0-H{} each; write L{}.H0, "
                "L0-L{}, last-4 or all, with commas between",
                part, why, layers_ - 1, heads_ - 1, layers_ - 1, layers_ - 1);
  }

  int layers_, heads_;
  std::set<HeadId> chosen_;
};

}  // namespace

std::string NameOf(const ComponentId& id) {
  switch (id.kind) {
    case Kind::kInput:
      return kInput;
    case Kind::kLayer:
      return fmt::format("L{}", id.layer);
    case Kind::kHead:
      return fmt::format("L{}.H{}", id.layer, id.head);
    case Kind::kMlp:
      return fmt::format("L{}.{}", id.layer, kMlp);
    case Kind::kPoolMlp:
      return kPoolMlp;
  }
  return {};
}

std::string HeadName(HeadId id) { return NameOf({id.layer, Kind::kHead, id.head}); }

Components::Range Components::NumbersOf(const ComponentId& id) const {
  const Index first = NumberOf(HeadId{id.layer, 0});
  switch (id.kind) {
    case Kind::kLayer:
      return {first, first + heads_};
    case Kind::kHead:
      return {first + id.head, first + id.head + 1};
    case Kind::kInput:
    case Kind::kMlp:
    case Kind::kPoolMlp:
      break;
  }
  const Index number = NumberOfResidual(ResidualPartOf(id));
  return {number, number + 1};
}

ComponentId Components::at(Index number) const {
  if (IsHead(number)) {
    const HeadId id = HeadAt(number);
    return {id.layer, Kind::kHead, id.head};
  }
  const Index part = ResidualAt(number);
  if (part == 0) return {0, Kind::kInput, 0};
  if (part > layers_) return {static_cast<int>(layers_), Kind::kPoolMlp, 0};
  return {static_cast<int>(part) - 1, Kind::kMlp, 0};
}

std::vector<HeadId> Components::AllHeads() const {
  std::vector<HeadId> heads;
  for (Index i = 0; i < num_heads(); ++i) heads.push_back(HeadAt(i));
  return heads;
}

Index ResidualPartOf(const ComponentId& id) { return id.kind == Kind::kInput ? 0 : id.layer + 1; }

std::vector<HeadId> ParseHeads(std::string_view text, int layers, int heads) {
  HeadParser parser(layers, heads);
  ForEachPart(text, [&](std::string_view part) { parser.Add(part); });
  return parser.heads();
}

std::optional<ComponentId> ComponentNamed(std::string_view name, const Components& components) {
  if (name == kInput) return ComponentId{0, Kind::kInput, 0};
  if (name == kPoolMlp && components.has_pool_mlp()) {
    return ComponentId{static_cast<int>(components.layers()), Kind::kPoolMlp, 0};
  }
  if (!name.starts_with('L')) return std::nullopt;
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::optional<int> layer = Number(name.substr(1, dot - 1));
  if (!layer || *layer >= components.layers()) return std::nullopt;
  ComponentId id{*layer, Kind::kLayer, 0};
  if (dot < name.size()) {
    const std::string_view rest = name.substr(dot + 1);
    if (rest == kMlp) {
      id.kind = Kind::kMlp;
    } else {
      const auto head = rest.starts_with('H') ? Number(rest.substr(1)) : std::nullopt;
      if (!head || *head >= components.heads_a_layer()) return std::nullopt;
      id = {*layer, Kind::kHead, *head};
    }
  }
  // Leading zeros are refused: with them a component would have two names.
  if (NameOf(id) != name) return std::nullopt;
  return id;
}

std::vector<ComponentId> ParseComponents(std::string_view text, const Components& components) {
  std::set<ComponentId> chosen;
  ForEachPart(text, [&](std::string_view part) {
    if (part == "mlps") {
      for (int l = 0; l < components.layers(); ++l) chosen.insert({l, Kind::kMlp, 0});
    } else if (const auto id = ComponentNamed(part, components)) {
      chosen.insert(*id);
    } else {
      // Layers by range, last-N and all: heads of whole layers.
      for (const HeadId& head : ParseHeads(part, static_cast<int>(components.layers()),
                                           static_cast<int>(components.heads_a_layer()))) {
        chosen.insert({head.layer, Kind::kLayer, 0});
      }
    }
  });
  const std::vector<ComponentId> sorted(chosen.begin(), chosen.end());
  return WithoutCovered(sorted);
}

std::vector<ComponentId> ComponentsOf(std::span<const HeadId> heads) {
  std::vector<ComponentId> ids;
  for (const HeadId& id : heads) ids.push_back({id.layer, Kind::kHead, id.head});
  std::ranges::sort(ids);
  return ids;
}

std::vector<ComponentId> WithoutCovered(std::span<const ComponentId> sorted) {
  std::vector<ComponentId> left;
  for (const ComponentId& id : sorted) {
    if (id.is_head() &&
        std::ranges::binary_search(sorted, ComponentId{id.layer, Kind::kLayer, 0})) {
      continue;
    }
    left.push_back(id);
  }
  return left;
}

}  // namespace cliplens
