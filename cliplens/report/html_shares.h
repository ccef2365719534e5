// The report's section on shares of the variance: a bar of the three kinds of components, and a map
// of layers x heads.
//
//   const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
//   Print(SharesSection(shares, model.config().vision, /*listed=*/{}));
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cliplens/analysis/variance.h"
#include "cliplens/base/component.h"
#include "cliplens/model/config.h"

namespace cliplens {

// `shares` as ComponentShares gives them. `listed`: heads with a card on the page, to which cells
// link.
std::string SharesSection(const std::vector<ComponentShare>& shares, const TowerConfig& tower,
                          const std::set<HeadId>& listed);

}  // namespace cliplens
