// The share of the embedding's variance that each component contributes.
//
//   for (const ComponentShare& c : ComponentShares(store.statistics(), store.basis())) {
//     Print(c.component, c.share, c.spread);
//   }
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/statistics.h"

namespace cliplens {

struct ComponentShare {
  std::string component;  // "L11.H3", "L11.MLP", "INPUT", "POOL.H3"
  int layer = -1;         // -1: INPUT; the number of layers: POOL.MLP
  int head = -1;          // -1: an MLP or INPUT
  // Σ ⟨c − mean c, e − mean e⟩ / Σ |e − mean e|²: what the component adds to the embedding's
  // variance. The shares of all components add up to one; a share may be negative.
  double share = 0;
  double spread = 0;    // standard error of the share over the slices of the images
  double variance = 0;  // trace of the component's own covariance
  Level level = Level::kBlocks;

  HeadId head_id() const { return {layer, head, level}; }  // of a head
};

// By the numbers of Components. Throws Error(kPrecondition) on fewer than two images.
std::vector<ComponentShare> ComponentShares(const Statistics& statistics, const Basis& basis);

// Null without a POOL.MLP.
const ComponentShare* ShareOfPoolMlp(const std::vector<ComponentShare>& shares);

// The share of a head. Throws Error(kInvalidArgument) where it is not among `shares`.
const ComponentShare& ShareOfHead(const std::vector<ComponentShare>& shares, HeadId head);

}  // namespace cliplens
