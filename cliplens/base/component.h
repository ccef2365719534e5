// Names of the parts of an image encoder, as printed and read everywhere.
//
// Layers and heads count from 0: `L11.H3` is a head, `L11.MLP` a layer's MLP, `INPUT` the input
// embedding. Sets of heads: `L11.H3,L9.H0`, `L9-L11` (layers), `L9` (one layer), `last-4`, `all`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cliplens {

struct HeadId {
  int layer = 0;
  int head = 0;
  friend auto operator<=>(const HeadId&, const HeadId&) = default;
};

std::string HeadName(HeadId id);  // L11.H3
std::string MlpName(int layer);   // L11.MLP
inline constexpr char kInputName[] = "INPUT";
// By the number under which statistics and analyses keep a component: heads by layer, then INPUT,
// MLP 0 … L−1.
std::string ComponentName(int number, int layers, int heads);

// Heads named by `text` for a model of `layers` x `heads`, sorted, each once.
// Throws Error(kInvalidArgument) that quotes the part it cannot read or that the model lacks.
std::vector<HeadId> ParseHeads(std::string_view text, int layers, int heads);

}  // namespace cliplens
