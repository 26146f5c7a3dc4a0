class .golden.broken { var ; };
