package agd;

import java.util.BitSet;

/** The lines that a counted candidate (testing/counters.py) passes in a case; so many passes a case may have. */
public final class Lines {
    private static final int LINES = 20_000;
    private static final int PASSES = 100_000;
    private static final BitSet HITS = new BitSet();
    private static int left = PASSES;

    private Lines() {}

    /** A case that went on and on. */
    private static final class TooManySteps extends RuntimeException {
        private static final long serialVersionUID = 1L;

        TooManySteps() {
            super("too many steps");
        }
    }

    public static synchronized void hit(int line) {
        left--;
        if (left < 0) {
            throw new TooManySteps();
        }
        if (line > 0 && line < LINES) {
            HITS.set(line);
        }
    }

    static synchronized void reset() {
        HITS.clear();
        left = PASSES;
    }

    /** The lines of the case, behind an equals sign. */
    static synchronized String told() {
        StringBuilder text = new StringBuilder("=");
        for (int line = HITS.nextSetBit(0); line >= 0; line = HITS.nextSetBit(line + 1)) {
            text.append(text.length() > 1 ? "," : "").append(line);
        }
        return text.toString();
    }
}
