#include "cliplens/base/component.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

std::string Names(std::string_view text) {
  std::string names;
  for (HeadId id : ParseHeads(text, Components(12, 2))) names += HeadName(id) + " ";
  return names;
}

TEST(ParseHeads, ReadsHeadsLayersRangesAndAll) {
  EXPECT_EQ(Names("L11.H1"), "L11.H1 ");
  EXPECT_EQ(Names("L3"), "L3.H0 L3.H1 ");
  EXPECT_EQ(Names("L2-L3"), "L2.H0 L2.H1 L3.H0 L3.H1 ");
  EXPECT_EQ(Names("last-1"), "L11.H0 L11.H1 ");
  EXPECT_EQ(ParseHeads("all", Components(12, 2)).size(), 24u);
}

TEST(ParseHeads, SortsAndListsEachHeadOnce) {
  EXPECT_EQ(Names("L4.H1, L4, L0.H0"), "L0.H0 L4.H0 L4.H1 ");
}

TEST(ParseHeads, QuotesWhatItCannotUse) {
  for (const char* bad :
       {"L12.H0", "L0.H2", "L12", "L3-L12", "L5-L3", "last-13", "last-0", "last-x", "", "L", "L1.",
        "L1.H", "H3", "L1.H0,", "l1.h0", "L1.H-1", "L99999999999"}) {
    ExpectError(ErrorCode::kInvalidArgument, std::string("heads '"),
                [&] { ParseHeads(bad, Components(12, 2)); });
  }
}

TEST(Components, NumbersAndNamesAreInverse) {
  const Components components(3, 2);
  std::string names;
  for (Index i = 0; i < components.size(); ++i) {
    const ComponentId id = components.at(i);
    const auto [begin, end] = components.NumbersOf(id);
    EXPECT_EQ(begin, i);
    EXPECT_EQ(end, i + 1);
    EXPECT_EQ(ComponentNamed(NameOf(id), components), id);
    if (components.IsHead(i)) {
      EXPECT_EQ(components.NumberOf(components.HeadAt(i)), i);
    } else {
      EXPECT_EQ(components.NumberOfResidual(ResidualPartOf(id)), i);
    }
    names += NameOf(id) + " ";
  }
  EXPECT_EQ(names, "L0.H0 L0.H1 L1.H0 L1.H1 L2.H0 L2.H1 INPUT L0.MLP L1.MLP L2.MLP ");
  const auto [begin, end] = components.NumbersOf({1, ComponentId::Kind::kLayer, 0});
  EXPECT_EQ(begin, 2);
  EXPECT_EQ(end, 4);
}

TEST(Components, OneNameForEach) {
  const Components components(3, 2);
  for (const char* other : {"L01", "L0.H00", "L3", "L0.H2", "L0.mlp", "input", "", "L", "L0."}) {
    EXPECT_EQ(ComponentNamed(other, components), std::nullopt) << other;
  }
}

// The pool's heads have names of their own, so that nobody takes them for a block's.
TEST(Components, OfThePool) {
  const Components components(1, 3, /*pool_mlp=*/true, Level::kPool);
  std::string names;
  for (Index i = 0; i < components.size(); ++i) {
    const ComponentId id = components.at(i);
    EXPECT_EQ(components.NumbersOf(id).begin, i);
    EXPECT_EQ(ComponentNamed(NameOf(id), components), id);
    names += NameOf(id) + " ";
  }
  EXPECT_EQ(names, "POOL.H0 POOL.H1 POOL.H2 POOL.MLP ");
  EXPECT_EQ(components.num_residual(), 1);
  EXPECT_EQ(Components(1, 3, /*pool_mlp=*/false, Level::kPool).num_residual(), 0);
  const auto parsed = [&](std::string_view text) {
    std::string all;
    for (const HeadId& id : ParseHeads(text, components)) all += HeadName(id) + " ";
    return all;
  };
  for (const char* all : {"all", "POOL", "last-1", "POOL.H2,POOL.H1,POOL.H0"}) {
    EXPECT_EQ(parsed(all), "POOL.H0 POOL.H1 POOL.H2 ") << all;
  }
  for (const char* bad : {"L0.H0", "L0", "L0-L0", "POOL.H3", "POOL.MLP", "pool", "last-2", "POOL.",
                          "", "POOL-POOL", "POOL0.H0"}) {
    ExpectError(ErrorCode::kInvalidArgument, "POOL.H0-POOL.H2", [&] { parsed(bad); });
  }
  for (const char* other : {"L0", "L0.H0", "INPUT", "L0.MLP", "POOL.H03", "POOL.H3", "POOL."}) {
    EXPECT_EQ(ComponentNamed(other, components), std::nullopt) << other;
  }
  // At the level of the blocks there are none of them.
  const Components blocks(3, 2, /*pool_mlp=*/true);
  EXPECT_EQ(ComponentNamed("POOL.H0", blocks), std::nullopt);
  ExpectError(ErrorCode::kInvalidArgument, "heads 'POOL.H0'",
              [&] { ParseHeads("POOL.H0", blocks); });
  EXPECT_EQ(NameOf(ParseComponents("POOL.H1,POOL,POOL.MLP", components).front()), "POOL");
  EXPECT_NE(components, Components(1, 3, /*pool_mlp=*/true));
}

TEST(ParseComponents, KeepsLayersWholeAndNamesNoHeadOfThemTwice) {
  const Components components(3, 2);
  const auto names = [&](std::string_view text) {
    std::string all;
    for (const ComponentId& id : ParseComponents(text, components)) all += NameOf(id) + " ";
    return all;
  };
  EXPECT_EQ(names("L1.H1, L1, INPUT, L0.H0"), "INPUT L0.H0 L1 ");
  EXPECT_EQ(names("last-2,mlps"), "L0.MLP L1 L1.MLP L2 L2.MLP ");
  ExpectError(ErrorCode::kInvalidArgument, "heads 'L3'", [&] { names("L3"); });
}

}  // namespace
}  // namespace cliplens
