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
constexpr char kPool[] = "POOL";
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

// The layer of this name: L3, or POOL where the heads are the pool's.
std::optional<int> LayerNamed(std::string_view name, Level level) {
  if (level == Level::kPool) return name == kPool ? std::optional(0) : std::nullopt;
  return name.starts_with('L') ? Number(name.substr(1)) : std::nullopt;
}

// Reads one part: a head, or layers.
class HeadParser {
 public:
  explicit HeadParser(const Components& components) : all_(components) {}

  void Add(std::string_view part) {
    if (part == "all") return AddLayers(0, layers() - 1);
    if (part.starts_with("last-")) return AddLast(part);
    if (part.find('.') != std::string_view::npos) return AddHead(part);
    if (!at_pool() && !part.starts_with('L')) Fail(part, "not a head, a layer, last-N or all");
    if (!at_pool() && part.find('-') != std::string_view::npos) return AddRange(part);
    const auto layer = LayerNamed(part, all_.level());
    if (!layer) Fail(part, at_pool() ? "not of the form POOL.H3" : "not of the form L11 or L11.H3");
    if (*layer >= layers()) Fail(part, "no such layer");
    AddLayers(*layer, *layer);
  }

  std::vector<HeadId> heads() const { return {chosen_.begin(), chosen_.end()}; }

 private:
  bool at_pool() const { return all_.level() == Level::kPool; }
  int layers() const { return static_cast<int>(all_.layers()); }

  void AddLayers(int first, int last) {
    const Index heads = all_.heads_a_layer();
    for (Index i = first * heads; i < (last + 1) * heads; ++i) chosen_.insert(all_.HeadAt(i));
  }

  void AddLast(std::string_view part) {
    const auto count = Number(part.substr(5));
    if (!count || *count < 1) Fail(part, "'last-' needs a number of layers");
    if (*count > layers()) Fail(part, "more layers than the model has");
    AddLayers(layers() - *count, layers() - 1);
  }

  void AddHead(std::string_view part) {
    const std::size_t dot = part.find('.');
    const auto layer = LayerNamed(part.substr(0, dot), all_.level());
    const std::string_view rest = part.substr(dot + 1);
    const auto head = rest.starts_with('H') ? Number(rest.substr(1)) : std::nullopt;
    if (!layer || !head) {
      Fail(part, at_pool()                 ? "not of the form POOL.H3"
                 : part.starts_with(kPool) ? "there are heads of the pool with --level pool alone"
                                           : "not of the form L11.H3");
    }
    const HeadId id{*layer, *head, all_.level()};
    if (!all_.Has(id)) Fail(part, "no such head");
    chosen_.insert(id);
  }

  void AddRange(std::string_view part) {
    const std::size_t dash = part.find('-');
    const auto first = Number(part.substr(1, dash - 1));
    const std::string_view rest = part.substr(dash + 1);
    const auto last = Number(rest.starts_with('L') ? rest.substr(1) : rest);
    if (!first || !last) Fail(part, "not of the form L9-L11");
    if (*first > *last) Fail(part, "the first layer comes after the last");
    if (*last >= layers()) Fail(part, "no such layer");
    AddLayers(*first, *last);
  }

  [[noreturn]] void Fail(std::string_view part, std::string_view why) const {
    const Index last = all_.heads_a_layer() - 1;
    if (at_pool()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "heads '{}': {}; at the level of the pool there are the pool's heads "
                  "POOL.H0-POOL.H{}; write POOL.H0 or all, with commas between",
                  part, why, last);
    }
    throw Error(ErrorCode::kInvalidArgument,
                "heads '{}': {}; the model has layers L0-L{} with heads H0-H{} each; write L{}.H0, "
                "L0-L{}, last-4 or all, with commas between",
                part, why, layers() - 1, last, layers() - 1, layers() - 1);
  }

  const Components& all_;
  std::set<HeadId> chosen_;
};

}  // namespace

const char* NameOf(Level level) { return level == Level::kPool ? "pool" : "blocks"; }

Level ParseLevel(const std::string& name) {
  for (const Level level : {Level::kBlocks, Level::kPool}) {
    if (name == NameOf(level)) return level;
  }
  throw Error(ErrorCode::kInvalidArgument, "level '{}': blocks and pool are known", name);
}

std::string NameOf(const ComponentId& id) {
  const auto layer = [&] {
    return id.level == Level::kPool ? std::string(kPool) : fmt::format("L{}", id.layer);
  };
  switch (id.kind) {
    case Kind::kInput:
      return kInput;
    case Kind::kLayer:
      return layer();
    case Kind::kHead:
      return fmt::format("{}.H{}", layer(), id.head);
    case Kind::kMlp:
      return fmt::format("{}.{}", layer(), kMlp);
    case Kind::kPoolMlp:
      return kPoolMlp;
  }
  return {};
}

std::string HeadName(HeadId id) { return NameOf({id.layer, Kind::kHead, id.head, id.level}); }

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
    return {id.layer, Kind::kHead, id.head, level_};
  }
  const Index part = ResidualAt(number);
  if (IsPoolMlp(part)) return {static_cast<int>(layers_), Kind::kPoolMlp, 0, level_};
  if (part == 0) return {0, Kind::kInput, 0};
  return {static_cast<int>(part) - 1, Kind::kMlp, 0};
}

std::vector<HeadId> Components::AllHeads() const {
  std::vector<HeadId> heads;
  for (Index i = 0; i < num_heads(); ++i) heads.push_back(HeadAt(i));
  return heads;
}

bool Components::Has(HeadId id) const {
  return id.layer >= 0 && id.layer < layers_ && id.head >= 0 && id.head < heads_ &&
         id.level == level_;
}

Index ResidualPartOf(const ComponentId& id) {
  return id.kind == Kind::kInput || id.level == Level::kPool ? 0 : id.layer + 1;
}

std::vector<HeadId> ParseHeads(std::string_view text, const Components& components) {
  HeadParser parser(components);
  ForEachPart(text, [&](std::string_view part) { parser.Add(part); });
  return parser.heads();
}

std::optional<ComponentId> ComponentNamed(std::string_view name, const Components& components) {
  const Level level = components.level();
  if (name == kPoolMlp && components.has_pool_mlp()) {
    return ComponentId{static_cast<int>(components.layers()), Kind::kPoolMlp, 0, level};
  }
  if (name == kInput && level == Level::kBlocks) return ComponentId{0, Kind::kInput, 0};
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::optional<int> layer = LayerNamed(name.substr(0, dot), level);
  if (!layer || *layer >= components.layers()) return std::nullopt;
  ComponentId id{*layer, Kind::kLayer, 0, level};
  if (dot < name.size()) {
    const std::string_view rest = name.substr(dot + 1);
    if (rest == kMlp && level == Level::kBlocks) {
      id.kind = Kind::kMlp;
    } else {
      const auto head = rest.starts_with('H') ? Number(rest.substr(1)) : std::nullopt;
      if (!head || *head >= components.heads_a_layer()) return std::nullopt;
      id = {*layer, Kind::kHead, *head, level};
    }
  }
  // Leading zeros are refused: with them a component would have two names.
  if (NameOf(id) != name) return std::nullopt;
  return id;
}

std::vector<ComponentId> ParseComponents(std::string_view text, const Components& components) {
  std::set<ComponentId> chosen;
  ForEachPart(text, [&](std::string_view part) {
    if (part == "mlps" && components.level() == Level::kBlocks) {
      for (int l = 0; l < components.layers(); ++l) chosen.insert({l, Kind::kMlp, 0});
    } else if (const auto id = ComponentNamed(part, components)) {
      chosen.insert(*id);
    } else {
      // Layers by range, last-N and all: heads of whole layers.
      for (const HeadId& head : ParseHeads(part, components)) {
        chosen.insert({head.layer, Kind::kLayer, 0, head.level});
      }
    }
  });
  const std::vector<ComponentId> sorted(chosen.begin(), chosen.end());
  return WithoutCovered(sorted);
}

std::vector<ComponentId> ComponentsOf(std::span<const HeadId> heads) {
  std::vector<ComponentId> ids;
  for (const HeadId& id : heads) ids.push_back({id.layer, Kind::kHead, id.head, id.level});
  std::ranges::sort(ids);
  return ids;
}

std::vector<ComponentId> WithoutCovered(std::span<const ComponentId> sorted) {
  std::vector<ComponentId> left;
  for (const ComponentId& id : sorted) {
    if (id.is_head() &&
        std::ranges::binary_search(sorted, ComponentId{id.layer, Kind::kLayer, 0, id.level})) {
      continue;
    }
    left.push_back(id);
  }
  return left;
}

}  // namespace cliplens
