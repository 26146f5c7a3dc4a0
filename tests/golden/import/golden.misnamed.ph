class .golden.othername { };
