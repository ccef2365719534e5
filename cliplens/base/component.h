// The parts of an image encoder: how they are named, and how they are numbered.
//
//   const Components components(/*layers=*/12, /*heads=*/12);
//   Print(components.NumberOf(HeadId{11, 3}));            // 135
//   Print(NameOf(components.at(144)));                    // INPUT
//   ParseComponents("L5.H3, L7, mlps", components);       // a head, a whole layer, all MLPs
//
// Layers and heads count from 0: `L11.H3` is a head, `L11` all heads of a layer, `L11.MLP` a
// layer's MLP, `INPUT` the input embedding, `POOL.MLP` the MLP behind an attention pool. Sets of
// heads: `L11.H3,L9.H0`, `L9-L11` (layers), `last-4`, `all`.
//
// At the level of an attention pool the sum has other terms: the pool's own heads `POOL.H3`, one
// layer `POOL` of them, and `POOL.MLP`; no INPUT and no other MLP (docs/models.md).
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/index.h"

namespace cliplens {

// Whose heads the terms of the sum are: those of the blocks, or of the attention pool behind them.
enum class Level { kBlocks, kPool };
const char* NameOf(Level level);  // "blocks", "pool"
// Throws Error(kInvalidArgument) for another name.
Level ParseLevel(const std::string& name);

struct HeadId {
  int layer = 0;
  int head = 0;
  Level level = Level::kBlocks;
  friend auto operator<=>(const HeadId&, const HeadId&) = default;
};

// A component is a head, an MLP or INPUT: one term of the sum that gives the embedding. A whole
// layer stands for all its heads together.
struct ComponentId {
  enum class Kind { kInput, kLayer, kHead, kMlp, kPoolMlp };
  int layer = 0;  // 0 for INPUT; the number of layers for POOL.MLP
  Kind kind = Kind::kHead;
  int head = 0;  // of a head
  Level level = Level::kBlocks;

  bool is_head() const { return kind == Kind::kHead; }
  // INPUT or an MLP: what is no head and no layer of heads.
  bool is_residual() const { return kind != Kind::kHead && kind != Kind::kLayer; }
  HeadId head_id() const { return {layer, head, level}; }
  friend auto operator<=>(const ComponentId&, const ComponentId&) = default;
};

std::string NameOf(const ComponentId& id);  // INPUT, L3, L3.H1, L3.MLP, POOL, POOL.H1, POOL.MLP
std::string HeadName(HeadId id);            // L11.H3, POOL.H3

// The components of an encoder by number, as statistics, stores and analyses keep them: heads layer
// by layer, then INPUT, then MLP 0 … L−1, then POOL.MLP where there is one. Those that are no heads
// are "residual parts". At the level of the pool POOL.MLP is the only one.
class Components {
 public:
  Components() = default;
  Components(Index layers, Index heads, bool pool_mlp = false, Level level = Level::kBlocks)
      : layers_(layers), heads_(heads), pool_mlp_(pool_mlp), level_(level) {}

  Index layers() const { return layers_; }
  Index heads_a_layer() const { return heads_; }
  Index num_heads() const { return layers_ * heads_; }
  bool has_pool_mlp() const { return pool_mlp_; }
  Level level() const { return level_; }
  Index num_residual() const {
    return (level_ == Level::kPool ? 0 : layers_ + 1) + (pool_mlp_ ? 1 : 0);
  }
  Index size() const { return num_heads() + num_residual(); }

  Index NumberOf(HeadId id) const { return Index{id.layer} * heads_ + id.head; }
  // The number of INPUT (part 0), of MLP part − 1 or of POOL.MLP (the last part).
  Index NumberOfResidual(Index part) const { return num_heads() + part; }
  bool IsPoolMlp(Index part) const { return pool_mlp_ && part + 1 == num_residual(); }
  // The component's numbers [begin, end): one, or several for a whole layer.
  struct Range {
    Index begin = 0, end = 0;
  };
  Range NumbersOf(const ComponentId& id) const;

  bool IsHead(Index number) const { return number < num_heads(); }
  // `number` must be below num_heads().
  HeadId HeadAt(Index number) const {
    return {static_cast<int>(number / heads_), static_cast<int>(number % heads_), level_};
  }
  // 0 for INPUT, l + 1 for MLP l, the last for POOL.MLP. `number` must not be a head's.
  Index ResidualAt(Index number) const { return number - num_heads(); }
  ComponentId at(Index number) const;
  std::vector<HeadId> AllHeads() const;
  bool Has(HeadId id) const;
  bool operator==(const Components&) const = default;

 private:
  Index layers_ = 0, heads_ = 0;
  bool pool_mlp_ = false;
  Level level_ = Level::kBlocks;
};

// The number among the residual parts: 0 for INPUT, l + 1 for MLP l, the last for POOL.MLP.
Index ResidualPartOf(const ComponentId& id);

// Heads named by `text`, sorted, each once. Throws Error(kInvalidArgument) that quotes a part that
// is no name or that the model lacks.
std::vector<HeadId> ParseHeads(std::string_view text, const Components& components);

// Components named by `text`, sorted, each once. It reads what ParseHeads reads (a layer stays one
// component), INPUT, L3.MLP, POOL.MLP and mlps (the MLPs of all layers). A head whose layer is
// named too is dropped. Throws as ParseHeads does.
std::vector<ComponentId> ParseComponents(std::string_view text, const Components& components);
// The component of this name; nothing for a name that NameOf does not write or the model lacks.
std::optional<ComponentId> ComponentNamed(std::string_view name, const Components& components);
std::vector<ComponentId> ComponentsOf(std::span<const HeadId> heads);  // sorted
// Drops the heads of layers that `sorted` also names whole.
std::vector<ComponentId> WithoutCovered(std::span<const ComponentId> sorted);

}  // namespace cliplens
