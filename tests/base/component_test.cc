#include "cliplens/base/component.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

std::string Names(std::string_view text) {
  std::string names;
  for (HeadId id : ParseHeads(text, 12, 2)) names += HeadName(id) + " ";
  return names;
}

TEST(ParseHeads, ReadsHeadsLayersRangesAndAll) {
  EXPECT_EQ(Names("L11.H1"), "L11.H1 ");
  EXPECT_EQ(Names("L3"), "L3.H0 L3.H1 ");
  EXPECT_EQ(Names("L2-L3"), "L2.H0 L2.H1 L3.H0 L3.H1 ");
  EXPECT_EQ(Names("last-1"), "L11.H0 L11.H1 ");
  EXPECT_EQ(ParseHeads("all", 12, 2).size(), 24u);
}

TEST(ParseHeads, SortsAndListsEachHeadOnce) {
  EXPECT_EQ(Names("L4.H1, L4, L0.H0"), "L0.H0 L4.H0 L4.H1 ");
}

TEST(ParseHeads, QuotesWhatItCannotUse) {
  for (const char* bad :
       {"L12.H0", "L0.H2", "L12", "L3-L12", "L5-L3", "last-13", "last-0", "last-x", "", "L", "L1.",
        "L1.H", "H3", "L1.H0,", "l1.h0", "L1.H-1", "L99999999999"}) {
    ExpectError(ErrorCode::kInvalidArgument, std::string("heads '"),
                [&] { ParseHeads(bad, 12, 2); });
  }
}

}  // namespace
}  // namespace cliplens
